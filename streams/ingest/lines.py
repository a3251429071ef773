"""Lines of JSON in a file, each the fields of one event."""

from typing import Any, Final

import msgspec

from schemas import codec
from schemas.events import Event
from schemas.mending import parse
from schemas.rejection import Reason, Rejected

_EXPORTS: Final = ("resourceSpans", "resourceLogs", "resourceMetrics")
_SPANS: Final = ("context", "trace_id", "span_id", "traceId")
_ENCODER: Final = msgspec.json.Encoder()


def check_encoding(line: bytes) -> None:
    """Raise `Rejected` for a line that is not UTF-8: the guard reads U+FFFD, but a file can be mended."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        codec.decode(Event, line)  # says better what it is, where it is no JSON at all
        where = f"not UTF-8 at byte {error.start}"
        raise Rejected(Reason.INVALID_UTF8, f"{where}: convert the file, for example with iconv") from None


def check_no_span(fields: dict[str, Any]) -> None:
    """Raise `Rejected` for what looks like OpenTelemetry and has no event id."""
    if "event_id" not in fields and (
        any(name in fields for name in _EXPORTS)
        or ("attributes" in fields and any(name in fields for name in _SPANS))
    ):
        raise Rejected(Reason.MISSING_FIELD, "looks like OpenTelemetry: add --otel")


def parsed(line: bytes) -> dict[str, Any]:
    """Return the object in a line, mended; raises `Rejected` where there is none."""
    try:
        fields = parse(line.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        codec.decode(Event, line)  # says better what is wrong with the JSON
        raise Rejected(Reason.INVALID_JSON, "not JSON that can be read") from None
    if not isinstance(fields, dict):
        raise Rejected(Reason.NOT_AN_OBJECT, "expected one JSON object per line")
    return fields


def encoded(fields: dict[str, Any]) -> bytes:
    """Return the line of these fields; raises `Rejected` for a text that UTF-8 cannot hold."""
    try:
        return _ENCODER.encode(fields)
    except UnicodeEncodeError:
        raise Rejected(Reason.INVALID_UTF8, "not UTF-8: convert the file, for example with iconv") from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Rejected(Reason.WRONG_TYPE, f"a value has no JSON ({type(error).__name__})") from None
