"""What is too large for its topic goes without its texts, and says whose it is all the same."""

from typing import Any

import msgspec
import pytest

from schemas import codec, topics
from schemas.events import Alert, DeadLetter, Decision, Evidence, ScoredEvent, ToolCall
from streams.kafka.reduced import reduced
from tests.streams.store.rows import alert, scored

LONG = "a word of mine " * 1_000


def decision(**changes: Any) -> Decision:
    return msgspec.structs.replace(scored(1).decision, action="redact", text=LONG, **changes)


SCORED = msgspec.structs.replace(
    scored(
        1, text=LONG, system_prompt=LONG, contexts=(LONG,), metadata={LONG: LONG},
        tool_calls=(ToolCall(name="send", arguments=LONG),), model="m", prompt_version="v",
    ),
    decision=decision(), text_hash="h", sketch=b"s" * 64,
)  # fmt: skip
ALERT = msgspec.structs.replace(alert(1), evidence=(Evidence(detector="d", metric="m", text=LONG),) * 9)
LETTER = DeadLetter(
    dead_letter_id="d", topic="llm.events", partition=1, offset=2, timestamp=3, reason="empty", detail="why",
    size=20_000, payload=LONG.encode(), key=LONG.encode(), app="shop", repeats=(3, 4),
)  # fmt: skip


def less(topic: str, message: msgspec.Struct) -> Any:
    found = reduced(topic, (b"key", codec.encode(message)))
    assert found is not None
    assert found[0] == b"key"
    assert found[1] is not None
    assert b"a word of mine" not in found[1]
    return codec.decode(type(message), found[1])


def test_a_decision_says_that_its_text_is_not_the_one_to_send_on() -> None:
    replaced = f"[WITHHELD {len(LONG)} characters]"
    assert less(topics.DECISIONS, decision()) == msgspec.structs.replace(decision(), text=replaced)


def test_a_scored_event_keeps_all_but_its_texts() -> None:
    found: ScoredEvent = less(topics.SCORES, SCORED)
    assert (found.storage, found.text_hash, found.sketch) == ("oversize", "h", b"")
    assert found.event.tool_calls == (ToolCall(name="send"),)
    for name in ("scores", "timestamp", "text_hash"):
        assert getattr(found, name) == getattr(SCORED, name)
    for name in ("event_id", "app", "kind", "model", "prompt_version"):
        assert getattr(found.event, name) == getattr(SCORED.event, name)
    assert codec.segment_key(found.event) == codec.segment_key(SCORED.event)
    assert found.decision.decision_id == SCORED.decision.decision_id
    assert less(topics.SCORES, msgspec.structs.replace(SCORED, storage="none")).storage == "none"


def test_short_metadata_are_no_texts() -> None:
    few = {"region": "eu", "ticket": "7"}
    event = msgspec.structs.replace(SCORED.event, metadata={**few, "page": LONG, LONG: "x", "last": "1"})
    found: ScoredEvent = less(topics.SCORES, msgspec.structs.replace(SCORED, event=event))
    assert found.event.metadata == {**few, "last": "1"}


def test_of_many_metadata_a_few_are_kept() -> None:
    event = msgspec.structs.replace(SCORED.event, metadata={f"n{i}": "v" * 100 for i in range(1_000)})
    found: ScoredEvent = less(topics.SCORES, msgspec.structs.replace(SCORED, event=event))
    assert 50 < len(found.event.metadata) < 100


def test_an_alert_goes_without_its_evidence_and_a_letter_without_what_it_is_of() -> None:
    assert less(topics.ALERTS, ALERT) == msgspec.structs.replace(ALERT, evidence=())
    assert less(topics.DEAD_LETTERS, LETTER) == msgspec.structs.replace(LETTER, payload=b"", key=b"")


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        (topics.EVENTS, codec.encode(SCORED.event)),
        (topics.STATE, b"x" * 1_000),
        (topics.SCORES, b"x" * 1_000),
        (topics.SCORES, None),
        (topics.ALERTS, codec.encode(Alert(
            alert_id="a", source="s", severity="low", rule=LONG, title="t", timestamp=1, app="shop"
        ))),
    ],
)  # fmt: skip
def test_what_is_none_of_weirs_or_has_no_text_is_left_alone(topic: str, value: bytes | None) -> None:
    assert reduced(topic, (b"key", value)) is None
