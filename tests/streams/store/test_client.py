import datetime as dt
import uuid
from typing import Any

import msgspec
import pytest

from schemas.drift import DriftRecord
from schemas.events import (
    Alert,
    DeadLetter,
    Decision,
    Event,
    Evidence,
    Feedback,
    RuleHit,
    ScoredEvent,
    ToolCall,
)
from streams.store import tables
from streams.store.client import Store
from streams.store.ddl import expected_types
from streams.store.errors import (
    RowError,
)
from tests.streams.store.rows import AT, LONE, count, scored


def only_row(store: Store, table: str) -> dict[str, Any]:
    result = store.query(f"SELECT * FROM {table}")
    assert len(result.rows) == 1
    return dict(zip(result.columns, result.rows[0], strict=True))


def test_every_field_of_an_event_is_a_column(store: Store) -> None:
    event = Event(
        event_id="e", app="shop", kind="completion", text="hi", request_id="r", conversation_id="c",
        tenant="t", environment="prod", model="m", provider="p", prompt_name="pn", prompt_version="pv",
        user="u", chain="ch", step="s", system_prompt="sp", contexts=("x", "y"),
        tool_calls=(ToolCall("find", "{}"), ToolCall("buy")), prompt_tokens=2**32 - 1, completion_tokens=3,
        latency_ms=1.5, ttft_ms=0.5, cost=0.01, finish_reason="stop", trace_id="ti", span_id="si",
        metadata={"k": "v"},
    )  # fmt: skip
    hits = (
        RuleHit(rule="a", action="block", severity="high", mode="enforce", metric="toxicity", score=0.9),
        RuleHit(rule="b", action="flag", severity="low", mode="shadow", failed=True),
    )
    decision = Decision(
        decision_id="d", event_id="e", app="shop", kind="completion", verdict="block", action="block",
        severity="high", rules=hits, failed=("slow",), policy_version="1", policy_hash="ab",
        detectors_hash="cd", decided_at=AT + 7, latency_ms=6.5,
    )  # fmt: skip
    row_of = ScoredEvent(
        event=event, scores={"toxicity": 0.5}, decision=decision, timestamp=AT, storage="full",
        pii_types=("EMAIL",),
    )  # fmt: skip
    store.insert([row_of], "t")
    row = only_row(store, "events")
    for name in set(msgspec.structs.asdict(event)) - {"timestamp", "prompt", "contexts", "tool_calls"}:
        assert row[name] == getattr(event, name), name
    assert row["contexts"] == ["x", "y"]
    assert row["tool_calls"] == [{"name": "find", "arguments": "{}"}, {"name": "buy", "arguments": ""}]
    assert row["rules"] == ["a", "b"]
    assert row["rule_actions"] == ["block", "flag"]
    assert row["rule_severities"] == ["high", "low"]
    assert row["rule_modes"] == ["enforce", "shadow"]
    assert row["rule_metrics"] == ["toxicity", ""]
    assert row["rule_scores"] == [0.9, None]
    assert row["rule_failed"] == [False, True]
    assert (row["failed"], row["pii_types"], row["storage"]) == (["slow"], ["EMAIL"], "full")
    assert (row["decision_id"], row["verdict"], row["action"], row["severity"]) == (
        "d",
        "block",
        "block",
        "high",
    )
    assert (row["policy_version"], row["policy_hash"], row["decision_latency_ms"]) == ("1", "ab", 6.5)
    assert row["detectors_hash"] == "cd"
    assert (row["toxicity"], row["injection"]) == (0.5, None)
    assert store.query("SELECT toUnixTimestamp64Milli(timestamp), toUnixTimestamp64Milli(decided_at) FROM events").rows == [(AT, AT + 7)]  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("table", tables.TABLES.values(), ids=lambda table: table.name)
def test_a_table_has_the_columns_that_the_migrations_make(table: tables.Table) -> None:
    """A field added to a message wants a migration, or a place among those that are not kept."""
    assert set(table.columns) == set(expected_types(table.log)) - {"inserted_at"}


def test_no_field_of_a_rule_that_hit_is_forgotten() -> None:
    columns = {"rules"} | {name for name in tables.EVENTS.columns if name.startswith("rule_")}
    assert len(columns) == len(RuleHit.__struct_fields__)


def test_the_other_tables(store: Store) -> None:
    alert = Alert(
        alert_id="a", source="guard", severity="high", rule="r", title="t", timestamp=AT, app="shop",
        evidence=(Evidence(detector="toxicity", metric="toxicity", start=0, end=4, weight=1.5, text="word"),),
    )  # fmt: skip
    drift = DriftRecord(
        drift_id="x", app="shop", kind="prompt", metric="toxicity", detector="adwin", timestamp=AT,
        event_id="e", before=0.1, after=0.9, samples=100,
    )  # fmt: skip
    feedback = Feedback(
        feedback_id="f", event_id="e", app="shop", reviewer="ann", judgement="correct",
        timestamp=dt.datetime.fromtimestamp(AT / 1000, dt.UTC),
    )  # fmt: skip
    letter = DeadLetter(
        dead_letter_id="l", topic="llm.events", partition=1, offset=2**40, timestamp=AT, reason="json",
        detail="line 1", size=9, payload=b"do not keep",
    )  # fmt: skip
    for _ in range(2):  # a replay adds nothing
        token = uuid.uuid4().hex
        store.insert([alert], token)
        store.insert([drift], token)
        store.insert([feedback], token)
        store.insert([letter], token)
    row = only_row(store, "alerts")
    assert row["score"] is None
    assert row["evidence"] == [msgspec.structs.asdict(alert.evidence[0])]
    assert only_row(store, "drift")["after"] == 0.9
    assert only_row(store, "feedback")["timestamp"].timestamp() > 0
    assert store.query("SELECT toUnixTimestamp64Milli(timestamp) FROM feedback").rows == [(AT,)]
    letter_row = only_row(store, "dead_letters")
    assert (letter_row["offset"], letter_row["size"]) == (2**40, 9)
    assert b"do not keep" not in repr(letter_row).encode()


def test_a_retry_and_a_replay_leave_one_row_per_event(store: Store) -> None:
    batch = [scored(i) for i in range(5000)]
    store.insert(batch, "t1")
    store.insert(batch, "t1")  # a retry
    store.insert(batch[2500:] + [scored(i) for i in range(5000, 6000)], "t2")  # a replay, cut otherwise
    later = [scored(i, timestamp=AT + 60_000) for i in range(10)]
    store.insert(later, "t3")  # the app itself sent these again, a minute later
    assert count(store) == 6000
    assert store.query("SELECT uniqExact(decision_id), countDistinct(event_id) FROM events").rows == [
        (6000, 6000)
    ]
    assert store.query("SELECT count() FROM events WHERE app = 'shop' AND event_id = 'e7'").rows == [(1,)]


def test_the_same_id_in_two_apps_is_two_events(store: Store) -> None:
    store.insert([scored(1), scored(1, app="other")], "t")
    assert count(store) == 2


def test_a_metric_that_does_not_apply_is_left_out_of_an_average(store: Store) -> None:
    store.insert([scored(1, scores={"toxicity": 1.0}), scored(2, scores={"injection": 0.5})], "t")
    assert store.query("SELECT avg(toxicity), count(toxicity), avg(injection) FROM events").rows == [
        (1.0, 1, 0.5)
    ]


def test_a_new_metric_gets_its_column(store: Store) -> None:
    store.insert([scored(1)], "t1")
    store.insert([scored(2, scores={"toxicity": 0.1, "brand_new": 0.75})], "t2")
    assert store.query("SELECT event_id, brand_new FROM events ORDER BY event_id").rows == [
        ("e1", None),
        ("e2", 0.75),
    ]
    assert store.ensure_metric_columns(["brand_new", "toxicity", "another", "another"]) == ["another"]
    assert "another" in store.query("SELECT * FROM events").columns


@pytest.mark.parametrize("name", ["a-b", "1a", "", "text", "inserted_at", "a`; DROP TABLE x"])
def test_a_metric_that_cannot_be_a_column(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a metric"):
        store.ensure_metric_columns([name])
    with pytest.raises(RowError, match="cannot be a metric"):
        store.insert([scored(1, scores={name: 0.5})], "t")


@pytest.mark.parametrize(
    "text",
    ["", "\x00 nul \x00", "😀 ß 漢 \u202e", f"{LONE} alone", "'; DROP TABLE events; --", "x" * 2_000_000],
)
def test_any_text_can_be_kept(store: Store, text: str) -> None:
    store.insert([scored(1, text=text, metadata={text[:9]: text}, contexts=(text,))], "t")
    kept = text.replace(LONE, "\ufffd" * 3)
    assert store.query("SELECT text, contexts, metadata FROM events").rows == [
        (kept, [kept], {kept[: 9 + 2 * (LONE in text)]: kept})
    ]


def test_a_batch_may_span_more_months_than_clickhouse_likes(store: Store) -> None:
    first = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    moments = [int((first + dt.timedelta(days=300 * i)).timestamp() * 1000) for i in range(120)]
    alerts = [
        Alert(alert_id=f"a{i}", source="watch", severity="low", rule="r", title="t", timestamp=at, app="a")
        for i, at in enumerate(moments)
    ]  # fmt: skip
    store.insert(alerts, "t")
    extremes = "toUnixTimestamp64Milli(min(timestamp)), toUnixTimestamp64Milli(max(timestamp))"
    assert store.query(f"SELECT count(), {extremes} FROM alerts").rows == [(120, moments[0], moments[-1])]
