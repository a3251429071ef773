import threading
import uuid
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from streams.store.client import Store
from streams.store.migrations import (
    Changes,
    Migration,
    MigrationError,
    available,
    migrate,
    missing,
    parts,
    pending,
    rollback,
)

UP = "-- a table\nCREATE TABLE IF NOT EXISTS {0} (a Int8) ENGINE = MergeTree ORDER BY a;\n"
ONE = Migration(1, "one", UP.format("one"), "DROP TABLE IF EXISTS one;")
TWO = Migration(2, "two", UP.format("two"), "DROP TABLE IF EXISTS two;")


@pytest.fixture
def client(clickhouse: str) -> Iterator[Client]:
    store = Store(clickhouse, database=f"test_{uuid.uuid4().hex}")
    Store(clickhouse, database="default").client.command(f"CREATE DATABASE {store.database}")
    yield store.client
    store.client.command(f"DROP DATABASE {store.database}")
    store.close()


def tables(client: Client) -> set[str]:
    return {row[0] for row in client.query("SHOW TABLES").result_rows}


def test_forward_and_backward(client: Client) -> None:
    assert pending(client, [ONE, TWO]) == [ONE, TWO]
    assert migrate(client, [ONE]).applied == [ONE]
    assert pending(client, [ONE, TWO]) == [TWO]
    assert migrate(client, [ONE, TWO]).applied == [TWO]
    assert migrate(client, [ONE, TWO]).applied == []
    assert tables(client) == {"one", "two", "schema_migrations"}
    assert rollback(client, 1, [ONE, TWO]) == [TWO]
    assert tables(client) == {"one", "schema_migrations"}
    assert migrate(client, [ONE, TWO]).applied == [TWO]


def test_the_shipped_ones_go_all_the_way_there_and_back(client: Client) -> None:
    shipped = available()
    assert [migration.version for migration in shipped] == list(range(1, len(shipped) + 1))
    assert migrate(client).applied == shipped
    made = tables(client)
    assert {"events", "alerts", "drift", "feedback", "dead_letters", "events_log"} <= made
    assert rollback(client, 0) == shipped[::-1]
    assert tables(client) == {"schema_migrations"}
    assert migrate(client).applied == shipped
    assert tables(client) == made


def test_each_statement_can_be_run_twice(client: Client) -> None:
    for migration in available():
        for statement in parts(migration.up) * 2:
            client.command(statement)
    for migration in reversed(available()):
        for statement in parts(migration.down) * 2:
            client.command(statement)
    assert tables(client) == set()


def test_two_processes_at_once(client: Client) -> None:
    errors: list[Exception] = []

    def run() -> None:
        try:
            migrate(client)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert pending(client) == []
    assert client.command("SELECT count() FROM schema_migrations FINAL") == len(available())


def test_a_changed_file_is_refused(client: Client) -> None:
    migrate(client, [ONE])
    changed = Migration(1, "one", ONE.up + "\nSELECT 1;", ONE.down)
    with pytest.raises(MigrationError, match="0001_one was changed"):
        migrate(client, [changed])
    with pytest.raises(MigrationError, match="0001_one was changed"):
        rollback(client, 0, [changed])


def test_tables_of_a_later_version_are_left_alone(client: Client) -> None:
    migrate(client, [ONE, TWO])
    with pytest.raises(MigrationError, match="does not know"):
        migrate(client, [ONE])


def test_line_endings_change_no_checksum() -> None:
    assert Migration(1, "one", ONE.up.replace("\n", "\r\n"), "").checksum == ONE.checksum


def test_statements_are_told_from_comments_and_texts() -> None:
    sql = "-- it's\r\nSELECT ';' AS a; -- b;\r\n\r\nSELECT 2\n;\n/* ; */\n-- end\n"
    assert parts(sql) == ["SELECT ';' AS a", "SELECT 2"]


def test_what_was_dropped_is_missing_and_is_made_again(client: Client) -> None:
    migrate(client)
    made = tables(client)
    assert missing(client) == migrate(client).restored == []
    client.command("DROP TABLE events_log")
    client.command("DROP VIEW alerts")
    assert missing(client) == ["events_log", "alerts"]
    assert migrate(client) == Changes([], ["events_log", "alerts"])
    assert tables(client) == made
    client.command("INSERT INTO events_log (event_id, degraded) VALUES ('a', ['b'])")
    assert client.query("SELECT event_id, degraded FROM events").result_rows == [("a", ["b"])]
    assert client.command("SELECT count() FROM schema_migrations FINAL") == len(available())


def test_what_was_undone_is_not_missing(client: Client) -> None:
    migrate(client, [ONE, TWO])
    rollback(client, 1, [ONE, TWO])
    assert missing(client, [ONE, TWO]) == []
    client.command("DROP TABLE one")
    assert migrate(client, [ONE, TWO]) == Changes([TWO], ["one"])


def test_each_shipped_change_has_a_number_of_its_own() -> None:
    assert [migration.version for migration in available()] == [*range(1, len(available()) + 1)]
