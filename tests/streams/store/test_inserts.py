"""What becomes of rows that the store does not take, and of blocks."""

import math
import uuid
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import urllib3
from msgspec.structs import replace

from schemas.events import (
    DeadLetter,
    Feedback,
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
from tests.streams.store.rows import AT, LONE, alert, count, scored


@pytest.fixture
def empty(clickhouse: str) -> Iterator[Store]:
    """A store whose database does not exist yet."""
    store = Store(clickhouse, database=f"test_{uuid.uuid4().hex}")
    yield store
    Store(clickhouse, database="default").client.command(f"DROP DATABASE IF EXISTS {store.database}")
    store.close()


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


def test_what_clickhouse_did_not_answer_is_not_acknowledged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that shows a page of its own does so with status 200, too; only the headers tell."""
    request = urllib3.PoolManager.request

    def proxied(*args: Any, **kwargs: Any) -> urllib3.BaseHTTPResponse:
        answer = request(*args, **kwargs)
        answer.headers.discard("X-ClickHouse-Query-Id")
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(urllib3.PoolManager, "request", proxied)
        with pytest.raises(RetryableStoreError, match="not by ClickHouse"):
            store.insert([scored(1)], "t")
    store.insert([scored(1)], "t")
    assert count(store) == 1


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
    monkeypatch.setattr("streams.store.ddl._all_types", lambda _: {"events_log": {"event_id": "String"}})
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
