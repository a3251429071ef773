"""A reviewer's word on a stored decision: checked, cleaned, published."""

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from detectors.privacy.finders import find_all
from detectors.privacy.redaction import Redactor
from schemas import codec, topics
from schemas.events import Feedback
from streams.decisions.settings import DecisionSettings
from streams.errors import UserError, did_you_mean
from streams.kafka.clients import BrokerError, producing
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import missing_topics
from streams.policy.file import rule_ids

MOST_COMMENT = 4096
"""Characters of a comment."""


COLUMNS = ("app", "event_id", "rules", "rule_metrics", "conversation_id", "action")
"""Of a stored event, for `make_feedback`."""


def make_feedback(
    event: Mapping[str, Any],
    settings: DecisionSettings,
    judgement: str,
    *,
    rule: str = "",
    reviewer: str = "",
    comment: str = "",
    now_ms: int,
) -> Feedback:
    """Return the feedback on a stored event, which has `COLUMNS`; raises `UserError` for what does not exist.

    The id is made of event, reviewer and rule: who says something again replaces what was said before.
    """
    if rule:
        known = dict.fromkeys([*event["rules"], *filter(None, event["rule_metrics"])])
        _check_rule(rule, [*known], rule_ids(settings.policy))
    digest = hashlib.blake2b(digest_size=16)
    for part in (event["app"], event["event_id"], reviewer, rule):
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    feedback: dict[str, Any] = {
        "feedback_id": digest.hexdigest(),
        "event_id": event["event_id"],
        "app": event["app"],
        "reviewer": reviewer,
        "judgement": judgement,
        "metric": rule,
        "comment": cleaned(comment, settings, event["conversation_id"]),
        "timestamp": now_ms,
    }
    try:
        return codec.decode(Feedback, codec.encode(Feedback(**feedback)))
    except codec.Rejected as rejected:
        raise UserError(f"no feedback: {rejected.detail}") from None


def meant(event: Mapping[str, Any], word: str, rule: str = "") -> str:
    """Return the judgement that `right` or `wrong` is of the decision, or of a rule; others as they are."""
    hit = rule in (*event["rules"], *event["rule_metrics"]) if rule else event["action"] != "allow"
    return {"right": "correct", "wrong": "false_positive" if hit else "false_negative"}.get(word, word)


def cleaned(comment: str, settings: DecisionSettings, salt: str = "") -> str:
    """Return a comment as it may be kept: without personal data and secrets, unless texts are kept whole.

    `UserError` where it is too long. The placeholders are those of the event's text, where the key is set.
    """
    try:
        comment.encode()
    except UnicodeEncodeError:
        raise UserError("the comment is not UTF-8") from None
    if settings.storage != "full":
        comment = Redactor(settings.redaction_key_bytes).redact(comment, find_all(comment), salt)
    if len(comment) > MOST_COMMENT:
        raise UserError(f"the comment has {len(comment):,} characters: at most {MOST_COMMENT:,}")
    return comment


def _check_rule(rule: str, hit: Collection[str], of_policy: Collection[str]) -> None:
    if rule in hit or rule in of_policy:
        return
    allowed = [*hit, *(name for name in of_policy if name not in hit)]
    in_decision = f"in this decision: {', '.join(hit)}" if hit else "no rule hit in this decision"
    raise UserError(
        f"no rule {rule!r}{did_you_mean(rule, allowed)}; {in_decision}; in the policy: {', '.join(of_policy)}"
    )


async def publish(feedback: Feedback, settings: KafkaSettings) -> None:
    """Send it to `llm.feedback`; `BrokerError` where there is no such topic."""
    if topics.FEEDBACK in await missing_topics(settings):
        raise BrokerError(
            f"{settings.kafka} has no topic {topics.FEEDBACK}: create the topics with `weir topics`"
        )
    async with producing(settings) as producer:
        await producer.send(topics.FEEDBACK, [(feedback.event_id.encode(), codec.encode(feedback))])
