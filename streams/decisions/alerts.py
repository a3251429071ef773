"""Alerts of judged events, with the evidence that there is time for."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from detectors.batch import Depth
from schemas import codec
from schemas.events import SEVERITIES, Alert, Decision, Event, Evidence, RuleHit
from schemas.fields import USAGE
from streams.decisions.judge import Judge, Raised
from streams.kafka.records import Message
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

EVIDENCE_SHARE = 0.2
"""Of the guard's time: a flood of attacks must not slow the decisions down."""
EVIDENCE_S = 0.25
"""Seconds that are saved up, at most, for evidence; a single explanation may overdraw them."""


class Allowance:
    """Seconds that may be spent: a share of the time that passes, saved up to a limit (a token bucket)."""

    def __init__(
        self,
        share: float = EVIDENCE_SHARE,
        most_s: float = EVIDENCE_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._share = share
        self._most_s = most_s
        self._clock = clock
        self._left_s = most_s
        self._seen = clock()

    def left(self) -> bool:
        """Return whether anything is left; who spends more than that is in debt."""
        now = self._clock()
        self._left_s = min(self._most_s, self._left_s + self._share * (now - self._seen))
        self._seen = now
        return self._left_s > 0

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Take the time that passes inside off what is left."""
        began = self._clock()
        try:
            yield
        finally:
            self._left_s -= self._clock() - began


class Alerting:
    """Makes the alerts.

    Evidence of a classifier costs many readings of a text: what exceeds `allowance` goes without, and is
    counted. Cheap evidence is always there.
    """

    def __init__(self, judge: Judge, telemetry: Telemetry, allowance: Allowance | None = None) -> None:
        self._judge = judge
        self._telemetry = telemetry
        self._allowance = allowance or Allowance()

    def alerts(self, raised: Sequence[Raised], hurried: bool = False) -> list[Message]:
        """Return one message per row and rule, in order; the most urgent rows are explained first.

        `hurried`: events wait for too long already, so there is none but cheap evidence. So it is for an
        event that was not read in full: there was no time for that, and explaining it takes more.
        """
        with self._telemetry.stage("explain"):
            # Explained by urgency, published in order: the allowance may end before the batch does.
            urgent = sorted(range(len(raised)), key=lambda number: _urgency(raised[number]), reverse=True)
            evidence = {number: self._evidence(raised[number], hurried) for number in urgent}
        for severity, count in Counter(hit.severity for each in raised for hit in each.hits).items():
            self._telemetry.count(catalogue.ALERTS, count, severity)
        return [
            message for number, each in enumerate(raised) for message in _messages(each, evidence[number])
        ]

    @staticmethod
    def bare(raised: Sequence[Raised]) -> list[Message]:
        """Return the same messages without evidence; they take no time, and are not counted."""
        return [message for each in raised for message in _messages(each, ())]

    def _evidence(self, raised: Raised, hurried: bool) -> list[Evidence]:
        metrics = {hit.metric for hit in raised.hits if hit.metric and hit.metric not in USAGE}
        cheap = {metric for metric in metrics if self._judge.is_cheap(metric)}
        if metrics == cheap:
            return self._judge.evidence(raised.batch, raised.row, cheap)
        read = raised.batch.depths[raised.row] == Depth.FULL
        if read and not hurried and self._allowance.left():
            with self._allowance.spending():
                return self._judge.evidence(raised.batch, raised.row, metrics)
        self._telemetry.count(catalogue.ALERTS_UNEXPLAINED)
        return self._judge.evidence(raised.batch, raised.row, cheap)


def _messages(raised: Raised, evidence: Sequence[Evidence]) -> list[Message]:
    key = codec.partition_key(raised.scored.event)
    return [(key, codec.encode(alert)) for alert in _of(raised, evidence)]


def _of(raised: Raised, evidence: Sequence[Evidence]) -> list[Alert]:
    event, decision = raised.scored.event, raised.scored.decision
    return [
        Alert(
            alert_id=codec.alert_id(decision.decision_id, hit.rule),
            source="guard",
            severity=hit.severity,
            rule=hit.rule,
            title=_title(hit, decision),
            timestamp=raised.scored.timestamp,
            app=event.app,
            model=event.model,
            prompt_version=event.prompt_version,
            event_id=event.event_id,
            decision_id=decision.decision_id,
            conversation_id=event.conversation_id,
            action=hit.action,
            mode=hit.mode,
            metric=hit.metric,
            score=hit.score,
            evidence=tuple(item for item in evidence if item.metric == hit.metric),
            policy_version=decision.policy_version,
            policy_hash=decision.policy_hash,
            subject=_subject(hit, event),
        )
        for hit in raised.hits
    ]


def _subject(hit: RuleHit, event: Event) -> str:
    """Return whose usage decided: there is one alert for each user who goes too far; empty for none."""
    if hit.metric not in USAGE:
        return ""
    of = hit.metric.partition("_")[0]
    names = {"user": event.user, "conversation": event.conversation_id, "tenant": event.tenant}
    return f"{of} {names[of]}" if of in names else ""


def _urgency(raised: Raised) -> tuple[bool, int]:
    return max((hit.mode == "enforce", SEVERITIES.index(hit.severity)) for hit in raised.hits)


def _title(hit: RuleHit, decision: Decision) -> str:
    if hit.failed:
        in_time = decision.failed or not decision.degraded
        why = "failed" if in_time else "had no time for all it reads"
        return f"{hit.rule}: a detector that the rule needs {why}"
    if hit.score is None:
        return hit.rule
    return f"{hit.rule}: {hit.metric} {hit.score:{',.10g' if hit.metric in USAGE else '.3f'}}"
