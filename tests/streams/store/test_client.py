import datetime as dt
import math
import uuid
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from schemas.events import (
    Alert,
    DeadLetter,
    Decision,
    DriftRecord,
    Event,
    Evidence,
    Feedback,
    RuleHit,
    ScoredEvent,
    ToolCall,
)
from streams.local.clickhouse import start_clickhouse
from streams.local.process import free_port
from streams.store import tables
from streams.store.blocks import Blocks, RefusedRow
from streams.store.client import Store
from streams.store.ddl import EVENTS_VIEW, column_types, expected_types
from streams.store.errors import (
    QueryError,
    RetryableStoreError,
    RowError,
    UnknownColumnError,
)
from streams.store.migrations import Changes, available

AT = 1_790_000_000_123  # milliseconds
LONE = "\ud800"


@pytest.fixture
def empty(clickhouse: str) -> Iterator[Store]:
    """A store whose database does not exist yet."""
    store = Store(clickhouse, database=f"test_{uuid.uuid4().hex}")
    yield store
    Store(clickhouse, database="default").client.command(f"DROP DATABASE IF EXISTS {store.database}")
    store.close()


@pytest.fixture(scope="module")
def migrated(clickhouse: str) -> Iterator[Store]:
    store = Store(clickhouse, database=f"test_{uuid.uuid4().hex}")
    store.migrate(["toxicity", "injection"])
    yield store
    store.client.command(f"DROP DATABASE {store.database}")
    store.close()


@pytest.fixture
def store(migrated: Store) -> Store:
    for table in tables.TABLES.values():
        migrated.client.command(f"TRUNCATE TABLE {table.log}")
    return migrated


def scored(
    number: int, *, timestamp: int = AT, scores: dict[str, float] | None = None, **event: Any
) -> ScoredEvent:
    fields = {"event_id": f"e{number}", "app": "shop", "kind": "prompt", "text": f"text {number}", **event}
    return ScoredEvent(
        event=Event(**fields),
        scores={"toxicity": 0.25} if scores is None else scores,
        decision=Decision(
            decision_id=f"d{number}", event_id=f"e{number}", app="shop", kind="prompt",
            verdict="block", action="allow", decided_at=AT + 7,
        ),
        timestamp=timestamp,
    )  # fmt: skip


def count(store: Store, table: str = "events") -> int:
    return int(store.query(f"SELECT count() FROM {table}").rows[0][0])


def alert(number: int) -> Alert:
    return Alert(
        alert_id=f"a{number}", source="guard", severity="low", rule="r", title=f"title {number}",
        timestamp=AT, app="shop", score=0.5, evidence=(Evidence(detector="d", metric="m"),),
    )  # fmt: skip


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


def inserted(insert: Callable[[Any, str], None], batch: list[Any]) -> list[RefusedRow[Any]]:
    blocks = Blocks(batch, "t", lambda _: 1)
    blocks.insert(insert)
    assert blocks.done
    return blocks.refused


def test_rows_that_do_not_fit_are_told_apart(store: Store) -> None:
    bad = scored(3, prompt_tokens=2**32)
    also_bad = scored(5, scores={"toxicity": "high"})  # type: ignore[dict-item]
    batch = [scored(1), scored(2), bad, scored(4), also_bad, scored(6)]
    with pytest.raises(RowError):
        store.insert(batch, "t")
    rejected = inserted(store.insert, batch)
    assert [refused.row for refused in rejected] == [bad, also_bad]
    assert all("text" not in refused.reason for refused in rejected)
    assert {row[0] for row in store.query("SELECT event_id FROM events").rows} == {"e1", "e2", "e4", "e6"}
    assert inserted(store.insert, batch) == rejected
    assert count(store) == 4


def test_the_types_that_are_expected_are_those_of_the_tables(empty: Store) -> None:
    empty.migrate()
    for table in tables.TABLES.values():
        assert column_types(empty.client, table) == expected_types(table.log)


@pytest.mark.parametrize(
    "change",
    [
        "MODIFY COLUMN source UInt8",
        "MODIFY COLUMN score Nullable(String)",
        "MODIFY COLUMN title FixedString(3)",
    ],
)
def test_a_column_that_was_changed_is_not_the_rows_fault(empty: Store, change: str) -> None:
    empty.migrate()
    alerts = [replace(alert(number), score=number / 8) for number in range(8)]
    empty.client.command("ALTER TABLE alerts_log " + change)
    column = change.split()[2]
    with pytest.raises(RetryableStoreError, match=f"column {column} of alerts_log is .* where weir made it"):
        inserted(empty.insert, alerts)
    empty.migrate()  # nothing to do: the operator mends it
    wanted = expected_types("alerts_log")[column]
    empty.client.command(f"ALTER TABLE alerts_log MODIFY COLUMN {column} {wanted}")
    assert inserted(empty.insert, alerts) == []
    assert count(empty, "alerts") == 8


def test_a_bug_of_ours_is_no_row_that_does_not_fit(store: Store) -> None:
    nothing: Any = object()
    with pytest.raises(AttributeError):
        store.insert([alert(1), nothing], "t")


@pytest.mark.parametrize("timestamp", [-(2**63), -1, 0, 2**63 - 1])
def test_every_message_that_is_read_can_be_kept(store: Store, timestamp: int) -> None:
    store.insert([replace(alert(1), timestamp=timestamp)], "t")
    store.insert([scored(1, timestamp=timestamp)], "t")
    letter = DeadLetter(
        dead_letter_id="d", topic="t", partition=-(2**31), offset=2**63 - 1, timestamp=timestamp,
        reason="empty", detail="", size=2**63 - 1, key=b"\xff", app=LONE, repeats=(1, 2**63 - 1),
    )  # fmt: skip
    store.insert([letter], "t")
    assert count(store, "alerts") == 1
    assert store.query("SELECT repeats FROM dead_letters").rows == [([1, 2**63 - 1],)]


def test_extreme_scores(store: Store) -> None:
    store.insert([scored(1, scores={"toxicity": math.inf, "injection": 1e-30})], "t")
    assert store.query("SELECT isInfinite(toxicity) FROM events").rows == [(1,)]


def test_feedback_without_a_timestamp_is_a_row_error(store: Store) -> None:
    opinion = Feedback(feedback_id="f", event_id="e", app="a", reviewer="r", judgement="unsure")
    with pytest.raises(RowError):
        store.insert([opinion], "t")


def test_a_store_that_is_down_is_retryable_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    store = Store(f"http://127.0.0.1:{port}", timeout=5)
    calls: list[Callable[[], Any]] = [
        *(store.migrate, lambda: store.insert([scored(1)], "t"), lambda: store.query("SELECT 1")),
    ]
    for call in calls:
        with pytest.raises(RetryableStoreError, match="no ClickHouse answers at http:"):
            call()
    server = start_clickhouse(tmp_path, port)
    try:
        store.migrate()
        store.insert([scored(1)], "t1")
        server.kill()
        for call in calls:
            with pytest.raises(RetryableStoreError, match="no ClickHouse answers at http:"):
                call()
        server = start_clickhouse(tmp_path, port)
        store.insert([scored(1)], "t1")
        store.insert([scored(2)], "t2")
        assert count(store) == 2
        assert count(store, "events_log") == 2  # the server remembers tokens over a kill
    finally:
        store.close()
        server.stop()


def test_missing_tables_say_what_to_run(empty: Store) -> None:
    with pytest.raises(RetryableStoreError, match="weir migrate"):
        empty.insert([scored(1)], "t")
    empty.migrate()
    empty.insert([scored(1)], "t")
    empty.client.command("ALTER TABLE events_log DROP COLUMN user")
    with pytest.raises(UnknownColumnError, match="weir migrate"):
        empty.insert([scored(2)], "t2")


@pytest.mark.parametrize(
    ("dropped", "lost"),
    [
        ("DROP TABLE events_log", "events_log"),
        ("DROP TABLE dead_letters_log", "dead_letters_log"),
        ("DROP VIEW events", "events"),
        ("ALTER TABLE events_log DROP COLUMN user", "events_log.user"),
        ("ALTER TABLE events_log DROP COLUMN detectors_hash", "events_log.detectors_hash"),
    ],
)
def test_migrate_makes_again_what_was_dropped(empty: Store, dropped: str, lost: str) -> None:
    empty.migrate(["toxicity"], 90)
    empty.client.command(dropped)
    assert empty.missing() == [lost]
    assert empty.migrate(["toxicity"], 90) == Changes([], [lost])
    assert empty.missing() == []
    empty.insert([scored(1, user="u")], "t")
    columns = "user, detectors_hash, toxicity"
    assert empty.query(f"SELECT {columns} FROM events").rows == [("u", "", 0.25)]


def test_what_goes_away_while_migrate_runs_does_not_send_to_migrate(
    empty: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty.migrate()
    empty.client.command("DROP TABLE events_log")
    monkeypatch.setattr("streams.store.migrations.missing", lambda *_: [])
    monkeypatch.setattr("streams.store.ddl.column_types", lambda *_: {"event_id": "String"})
    with pytest.raises(RetryableStoreError, match=r"60 UNKNOWN_TABLE: (?!.*weir migrate)"):
        empty.migrate()


def test_an_empty_batch_is_nothing_to_do() -> None:
    Store(f"http://127.0.0.1:{free_port()}").insert([], "t")


def test_migrate_is_repeatable_and_goes_back(empty: Store) -> None:
    applied = [migration.name for migration in empty.migrate(["toxicity"], 90).applied]
    assert applied == [migration.name for migration in available()]
    assert empty.pending() == []
    assert empty.migrate(["toxicity"], 90) == Changes([], [])
    assert empty.rollback() == available()[::-1]
    assert empty.pending() == available()


def test_retention_follows_the_setting(store: Store) -> None:
    def ttl() -> str:
        definition = str(store.query("SHOW CREATE TABLE events_log").rows[0][0])
        return definition.partition("\nTTL ")[2].partition("\n")[0]

    assert ttl() == ""
    for days, text in (
        (90, "inserted_at + toIntervalDay(90)"),
        (7, "inserted_at + toIntervalDay(7)"),
        (0, ""),
    ):
        store.migrate(ttl_days=days)
        assert ttl() == text
        store.insert([scored(1, timestamp=AT - 10**11)], uuid.uuid4().hex)
        assert count(store) == 1  # an old event that arrives now stays: its days start now


def test_an_old_row_leaves_when_its_days_are_over(store: Store) -> None:
    store.insert([scored(1)], "t")
    store.client.command(
        "ALTER TABLE events_log UPDATE inserted_at = now() - INTERVAL 8 DAY WHERE 1",
        settings={"mutations_sync": 1},
    )
    store.migrate(ttl_days=7)
    store.client.command("OPTIMIZE TABLE events_log FINAL")
    assert count(store) == 0


def test_the_view_is_the_one_of_the_migration() -> None:
    assert EVENTS_VIEW + ";" in (files("schemas") / "sql" / "0002_views.sql").read_text().splitlines()


def test_queries(store: Store) -> None:
    assert store.query("SELECT 1 AS a, 'x' AS b").columns == ("a", "b")
    assert store.query("SELECT {n:UInt8} + 1", {"n": 2}).rows == [(3,)]
    assert store.query("SELECT event_id FROM events").columns == ("event_id",)
    with pytest.raises(QueryError, match=r"^Unknown .*nothing.*\(UNKNOWN_IDENTIFIER\)$"):
        store.query("SELECT nothing FROM events")
