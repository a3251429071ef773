"""What can go wrong with the store, sorted by what the caller can do about it."""

import re
import socket
import ssl
import struct

import urllib3.exceptions
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError

from streams.errors import DOCTOR, LIMITS, WeirError

CLIENT_ERRORS = (ClickHouseError, urllib3.exceptions.HTTPError, OSError)
"""What clickhouse-connect raises when the server refuses, or cannot be reached."""
VALUE_ERRORS = (TypeError, ValueError, OverflowError, AttributeError, KeyError, IndexError, struct.error)
"""What its `insert` raises, beside `DataError`, when a value does not fit its column."""

# https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp: parsing, conversion and
# range errors and a violated constraint, which no retry heals. Everything that is not here may pass: memory
# (241), too many parts (252), read-only tables (242), no space (243), timeouts (159, 209), a server that
# shuts down, codes yet to come.
_OF_A_VALUE = {
    6, 26, 27, 32, 38, 41, 43, 53, 69, 70, 72, 117, 128, 130, 131, 190, 349, 407, 441, 457, 469, 631,
}  # fmt: skip
_UNKNOWN_COLUMN = {10, 16, 47}
LACKING = {*_UNKNOWN_COLUMN, 60, 81}
"""Codes of a column, table or database that is not there: `weir migrate` makes it."""
_MEMORY = 241
_VIEW = "while pushing to view"
_PASSING = {159, 209, 210, _MEMORY, 252}
_ADVICE = {
    60: ": the tables are missing, run `weir migrate`",
    81: ": the database is missing, run `weir migrate`",
    192: ": no such user, see WEIR_CLICKHOUSE_USER",
    193: ": wrong password, see WEIR_CLICKHOUSE_PASSWORD",
    439: f": its process gets no more threads or memory, {LIMITS}",
    497: ": the user may not do this",
    516: ": wrong user or password, see WEIR_CLICKHOUSE_USER and WEIR_CLICKHOUSE_PASSWORD; the password of "
    "an embedded store is the token that `weir up` prints",
}
_TRAILER = re.compile(r"(\s*\(version [^()]*(\([^()]*\))?\))?(\s*\(for url [^()]*\))?\s*\Z")
_CODE = re.compile(r"\bcode: ?(\d+)|\bCode: (\d+)\.")
_HTTP_STATUS = re.compile(r"\AHTTP driver received HTTP status (\d+)")
_TOO_LARGE_STATUS = "413"
_OF_A_PROXY = ("502", "503", "504")
_NO_CLICKHOUSE = ("Unexpected response to server version query", "BadStatusLine")
_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (ConnectionRefusedError, "nothing listens there"),
    (ConnectionResetError, "what listens there hangs up: is it another server's port, such as Kafka's?"),
    (socket.gaierror, "no such host"),
    (ssl.SSLError, "TLS fails: https for http, or a certificate that WEIR_CLICKHOUSE_CA_FILE does not know"),
    (urllib3.exceptions.TimeoutError, "no answer in time"),
    (TimeoutError, "no answer in time"),
)
_APPENDED = re.compile(r"(?<=\S) FORMAT Native\b")
_AT_APPENDED = re.compile(r"at position \d+ \(FORMAT\) \(line \d+, col \d+\): FORMAT Native\.")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)")


class StoreError(WeirError):
    """Something is wrong with the store; the message is one line."""


class RetryableStoreError(StoreError):
    """The store cannot take rows now: keep them and try again."""

    hint = DOCTOR


class RowError(StoreError):
    """The store will never take these rows as they are; the message holds none of their text."""


class DoubtfulRowError(RowError):
    """The store refuses a row as it is, or every row of its table: only the others tell."""


class BlockTooLargeError(RetryableStoreError):
    """The rows are too many bytes at once.

    `certain`: whatever the store does meanwhile, so that a row alone is never taken.
    """

    def __init__(self, message: str, *, certain: bool) -> None:
        super().__init__(message)
        self.certain = certain


class UnknownColumnError(RetryableStoreError):
    """A column is missing in a table: it can be added."""


class QueryError(StoreError):
    """A query is wrong; the message is the server's."""


def error_code(error: BaseException) -> int | None:
    """Return ClickHouse's error code, None when the server sent none."""
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return code
    if _HTTP_STATUS.search(str(error)):
        return None  # what follows is some other server's page
    match = _CODE.search(str(error))
    return int(match[1] or match[2]) if match else None


def unreachable(url: str, error: Exception) -> RetryableStoreError:
    """Return the error to show when no ClickHouse answers at `url`."""
    status = _HTTP_STATUS.search(str(error))
    if status and status[1] in _OF_A_PROXY:
        what = f"no ClickHouse answers at {url} (HTTP status {status[1]})"
    elif status or any(words in str(error) for words in _NO_CLICKHOUSE):
        what = f"the server at {url} does not speak ClickHouse's HTTP interface"
    else:
        what = f"no ClickHouse answers at {url}{_cause(error)}"
    return RetryableStoreError(
        f"{what}: start one with `weir up`, or set WEIR_CLICKHOUSE (and WEIR_CLICKHOUSE_USER, "
        "WEIR_CLICKHOUSE_PASSWORD)"
    )


def not_acknowledged(url: str) -> RetryableStoreError:
    """Return the error of an insert that was answered with 200 by something that is no ClickHouse."""
    return RetryableStoreError(
        f"an insert was answered at {url}, but not by ClickHouse (there is no X-ClickHouse-Query-Id): see "
        "what stands before it, such as a proxy that shows a page of its own or takes headers away"
    )


def _cause(error: BaseException) -> str:
    """Return why nothing answers, in brackets; the client's own classes say nothing to a user."""
    causes = []
    seen: BaseException | None = error
    while seen is not None:
        causes.append(seen)
        seen = seen.__cause__ or seen.__context__
    for kind, why in _CAUSES:
        if any(isinstance(each, kind) for each in causes):
            return f" ({why})"
    return ""


def while_migrating(error: Exception) -> RetryableStoreError:
    """Return the error of something that is missing while the tables are made."""
    what = _named(error)
    return RetryableStoreError(f"{what}: something else drops tables or columns meanwhile: stop it first")


def _named(error: Exception) -> str:
    names = _NAME.findall(str(error))
    return f"ClickHouse error {error_code(error)}{' ' + names[-1] if names else ''}"


def classify(error: Exception, url: str) -> StoreError:
    """Return what an error of an insert or a table change means, without any value that it quotes.

    `url` is the address of the store, for the message that nothing answers there.
    """
    if isinstance(error, StoreError):
        return error
    if isinstance(error, DataError):
        return unfitting(error)
    status = _HTTP_STATUS.search(str(error))
    if status and status[1] == _TOO_LARGE_STATUS:
        return BlockTooLargeError(f"{url} takes no request that large (HTTP status 413)", certain=True)
    code = error_code(error)
    if code is None:
        return unreachable(url, error)
    what = _named(error)
    if code in _OF_A_VALUE and _VIEW in str(error):
        return RetryableStoreError(f"{what} in a materialized view of the table: mend or drop the view")
    if code in _OF_A_VALUE:
        return DoubtfulRowError(what)
    if code == _MEMORY:
        return BlockTooLargeError(what, certain=False)
    if code in _UNKNOWN_COLUMN:
        return UnknownColumnError(f"{what}: run `weir migrate`")
    return RetryableStoreError(f"{what}{_ADVICE.get(code, '')}")


def unfitting(error: Exception) -> RowError:
    """Return the error of a value that cannot be written as its column's type; it quotes nothing."""
    return RowError(f"a value does not fit its column ({type(error).__name__})")


def classify_query(error: Exception, url: str) -> StoreError:
    """Return the error of a query of a user, with the server's text on one line."""
    code = error_code(error)
    if code is None or code in _PASSING:
        return classify(error, url)
    text = str(error)
    start = text.find("DB::Exception: ")
    text = text[start + len("DB::Exception: ") :] if start >= 0 else text
    return QueryError(_without_format(" ".join(_TRAILER.sub("", text).split())))


def _without_format(text: str) -> str:
    """Take out the `FORMAT Native` that the client appends to a query, as if the query ended before it."""
    if "FORMAT AS Native" in text:
        return "Syntax error: the query ends too early"
    return _APPENDED.sub("", _AT_APPENDED.sub("at the end of the query.", text))
