import contextlib
import socket
import threading

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, OperationalError
from urllib3.exceptions import MaxRetryError

from streams.store.client import Store
from streams.store.errors import (
    BlockTooLargeError,
    DoubtfulRowError,
    QueryError,
    RetryableStoreError,
    RowError,
    StoreError,
    UnknownColumnError,
    classify,
    classify_query,
)

URL = "http://127.0.0.1:8123"
SECRET = "the text of a prompt"


def refused(code: int, name: str) -> DatabaseError:
    return DatabaseError(
        f"Received ClickHouse exception, code: {code}, server response: Code: {code}. DB::Exception: "
        f"Cannot: {SECRET}. ({name}) (version 25.8.1.1 (official build)) (for url http://127.0.0.1:8123)"
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refused(53, "TYPE_MISMATCH"), DoubtfulRowError),
        (refused(27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"), DoubtfulRowError),
        (refused(6, "CANNOT_PARSE_TEXT: while pushing to view weir.mine"), RetryableStoreError),
        (refused(16, "NO_SUCH_COLUMN_IN_TABLE"), UnknownColumnError),
        (refused(60, "UNKNOWN_TABLE"), RetryableStoreError),
        (refused(241, "MEMORY_LIMIT_EXCEEDED"), BlockTooLargeError),
        (DatabaseError("HTTP driver received HTTP status 413, server response: no"), BlockTooLargeError),
        (DataError(SECRET), RowError),
        (refused(252, "TOO_MANY_PARTS"), RetryableStoreError),
        (refused(242, "TABLE_IS_READ_ONLY"), RetryableStoreError),
        (refused(99999, "OF_THE_FUTURE"), RetryableStoreError),
        (OperationalError("connection refused"), RetryableStoreError),
        (MaxRetryError(None, "/"), RetryableStoreError),  # type: ignore[arg-type]
        (TimeoutError(), RetryableStoreError),
    ],
)
def test_what_an_error_of_an_insert_means(error: Exception, kind: type[StoreError]) -> None:
    found = classify(error, URL)
    assert type(found) is kind
    assert SECRET not in str(found)
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OperationalError("gone"), f"no ClickHouse answers at {URL}"),
        (
            DatabaseError("HTTP driver received HTTP status 503, server response: Code: 53."),
            f"no ClickHouse answers at {URL} (HTTP status 503)",
        ),
        (
            DatabaseError("HTTP driver received HTTP status 501, server response: <p>Error code: 501</p>"),
            f"the server at {URL} does not speak ClickHouse's HTTP interface",
        ),
        (
            OperationalError("Unexpected response to server version query: 'hi'"),
            f"the server at {URL} does not speak ClickHouse's HTTP interface",
        ),
    ],
)
def test_what_is_wrong_at_the_address_and_what_to_do(error: Exception, words: str) -> None:
    found = classify(error, URL)
    assert type(found) is RetryableStoreError
    assert str(found).startswith(f"{words}: start one with `weir up`, or set WEIR_CLICKHOUSE")


def test_an_error_of_a_query_is_the_servers_own_text() -> None:
    found = classify_query(refused(47, "UNKNOWN_IDENTIFIER"), URL)
    assert isinstance(found, QueryError)
    assert str(found) == f"Cannot: {SECRET}. (UNKNOWN_IDENTIFIER)"
    assert isinstance(classify_query(refused(241, "MEMORY_LIMIT_EXCEEDED"), URL), RetryableStoreError)


@pytest.mark.parametrize(
    ("url", "why"),
    [("http://127.0.0.1:1", "nothing listens there"), ("http://no-such-host.invalid:8123", "no such host")],
)
def test_a_store_that_is_not_there_says_why_in_plain_words(url: str, why: str) -> None:
    with pytest.raises(
        RetryableStoreError, match=f"no ClickHouse answers at {url} \\({why}\\): start"
    ) as raised:
        Store(url).query("SELECT 1")
    assert "Error" not in str(raised.value)


def test_the_port_of_another_server_is_said_to_be_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with server.accept()[0] as connection:
                        connection.recv(100)

        threading.Thread(target=hang_up, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(RetryableStoreError, match="is it another server's port, such as Kafka's"):
            Store(url).query("SELECT 1")
