"""Bytes to messages and back, ids and keys. Pure: no I/O and no clock.

What the decoder takes: one JSON object in UTF-8; a byte order mark before it is skipped. Of a name
that occurs twice the last value counts. Fields that the schema does not know are skipped without
a look into them. NUL characters (`\\u0000`) are kept. Half of a surrogate pair (`\\ud800` alone) and
bytes that are not UTF-8 are read as U+FFFD: so every decoded message can be encoded again, and no text
escapes its judgement by a character that is none.
"""

import codecs
import datetime as dt
import hashlib
from functools import cache
from typing import Any, Final, NoReturn, Protocol, TypeVar

import msgspec

from schemas.events import Event, Name
from schemas.mending import mended
from schemas.rejection import Reason, Rejected, explain

__all__ = [
    "DAY_MS",
    "MAX_BYTES",
    "MAX_FUTURE_MS",
    "MAX_PAST_MS",
    "Decoder",
    "Reason",
    "Rejected",
    "alert_id",
    "app_of",
    "bias_id",
    "change_id",
    "dead_letter_id",
    "decision_id",
    "decode",
    "drift_id",
    "encode",
    "flood_id",
    "partition_key",
    "segment_key",
]

M = TypeVar("M", bound=msgspec.Struct)

DAY_MS: Final = 24 * 3600 * 1000
MAX_BYTES: Final = 1 << 20
"""Default limit per message: 1 MiB, as Apache Kafka's own default for a record batch."""
MAX_PAST_MS: Final = 3653 * DAY_MS
"""Default limit of the clock rule: ten years."""
MAX_FUTURE_MS: Final = 3600 * 1000
"""Default limit of the clock rule: one hour, for clocks that run ahead."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)
_ENCODER: Final = msgspec.json.Encoder()


@cache
def _decoder(kind: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def encode(message: msgspec.Struct) -> bytes:
    """Return the JSON of a message, fields at their default left out.

    NaN and infinity have no JSON: msgspec writes null, which no reader of a number takes back.
    Leave such a score out.
    """
    return _ENCODER.encode(message)


class _App(msgspec.Struct):
    app: Name = ""


def app_of(payload: bytes | None) -> str:
    """Return the app that `decode` gives of an event, without reading the rest; empty where it is none."""
    try:
        return _decoded(_App, _without_mark(payload or b"")).app
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def decode(kind: type[M], payload: bytes | None) -> M:
    """Return a message of one of the types in `schemas.topics.MESSAGES`, whatever its size or age.

    Raises:
        Rejected: the payload is not such a message.

    """
    return _decode(kind, payload)


class Decoder:
    """Decodes what apps and reviewers publish, within limits of size and of clock sanity.

    Args:
        max_bytes: of one payload.
        max_past_ms: how far before `now_ms` a timestamp may lie.
        max_future_ms: how far after `now_ms` a timestamp may lie.

    """

    def __init__(
        self,
        *,
        max_bytes: int = MAX_BYTES,
        max_past_ms: int = MAX_PAST_MS,
        max_future_ms: int = MAX_FUTURE_MS,
    ) -> None:
        self.max_bytes = max_bytes
        self.max_past_ms = max_past_ms
        self.max_future_ms = max_future_ms

    def decode(
        self, kind: type[M], payload: bytes | None, kafka_timestamp_ms: int, now_ms: int
    ) -> tuple[M, int]:
        """Return a message and when it happened, in milliseconds since 1970 (UTC).

        Args:
            kind: of the message; it has a field `timestamp`.
            payload: the value of the Kafka record.
            kafka_timestamp_ms: of the record; counts where the message has none. 0 or less: none. The clock
                rule measures from it, so that a replay gives the same answer.
            now_ms: by our own clock; what the rule measures from where Kafka has no timestamp of a clock.

        Raises:
            Rejected: the payload is not such a message, or breaks a limit.

        """
        self.check_size(len(payload or b""))
        return self.accept(_decode(kind, payload), kafka_timestamp_ms, now_ms)

    def decode_event(self, payload: bytes | None, kafka_timestamp_ms: int, now_ms: int) -> tuple[Event, int]:
        """Return an event and when it happened; arguments and errors as for `decode`."""
        return self.decode(Event, payload, kafka_timestamp_ms, now_ms)

    def accept(self, message: M, kafka_timestamp_ms: int, now_ms: int) -> tuple[M, int]:
        """Return a message as it counts, and when it happened; arguments as of `decode`.

        Raises `Rejected` for one that breaks the clock rule.
        """
        counted: Any = _without_zeros(message) if isinstance(message, Event) else message
        return counted, self._timestamp(counted.timestamp, kafka_timestamp_ms, now_ms)

    def check_size(self, size: int) -> None:
        """Raise `Rejected` for a payload of more bytes than are allowed."""
        if size > self.max_bytes:
            raise Rejected(Reason.TOO_LARGE, f"{size} bytes, where {self.max_bytes} are allowed")

    def _timestamp(self, given: dt.datetime | int | None, kafka_timestamp_ms: int, now_ms: int) -> int:
        if given is None:
            timestamp = kafka_timestamp_ms
            if timestamp <= 0:
                raise Rejected(Reason.MISSING_TIMESTAMP, "neither `$.timestamp` nor a timestamp from Kafka")
        elif isinstance(given, int):
            timestamp = given
        else:
            timestamp = _milliseconds(given)
        now_ms = kafka_timestamp_ms if self.is_of_a_clock(kafka_timestamp_ms, now_ms) else now_ms
        if not self.is_sane(timestamp, now_ms):
            self._refuse(timestamp, now_ms, "Kafka's timestamp" if given is None else "`$.timestamp`")
        return timestamp

    def is_of_a_clock(self, kafka_timestamp_ms: int, now_ms: int) -> bool:
        """Whether a clock gave a record's timestamp: it may be ahead of ours, which may be the wrong one."""
        return -self.max_past_ms <= kafka_timestamp_ms - now_ms <= max(self.max_past_ms, self.max_future_ms)

    def is_sane(self, timestamp: int, now_ms: int) -> bool:
        """Whether a timestamp is within the clock rule."""
        return now_ms - self.max_past_ms <= timestamp <= now_ms + self.max_future_ms

    def _refuse(self, timestamp: int, now_ms: int, where: str) -> NoReturn:
        oldest, newest = now_ms - self.max_past_ms, now_ms + self.max_future_ms
        if timestamp < oldest:
            detail = f"{where}: more than {self.max_past_ms / DAY_MS:g} days ago"
            if oldest <= timestamp * 1000 <= newest:
                detail += "; looks like seconds since 1970, expected milliseconds"
            raise Rejected(Reason.TIMESTAMP_TOO_OLD, detail)
        detail = f"{where}: more than {self.max_future_ms / 1000:g} seconds ahead"
        for unit, factor in (("microseconds", 1000), ("nanoseconds", 1_000_000)):
            if oldest <= timestamp // factor <= newest:
                detail += f"; looks like {unit} since 1970, expected milliseconds"
        raise Rejected(Reason.TIMESTAMP_IN_FUTURE, detail)


def _without_zeros(event: Event) -> Event:
    """Leave out 0 tokens beside a text: SDKs report that where they did not count, as in streaming."""
    counted = event.prompt_tokens != 0 and event.completion_tokens != 0
    if counted or not (event.text or event.tool_calls):
        return event
    return msgspec.structs.replace(
        event,
        prompt_tokens=event.prompt_tokens or None,
        completion_tokens=event.completion_tokens or None,
    )


def _decode(kind: type[M], payload: bytes | None) -> M:
    if payload is None:
        raise Rejected(Reason.NULL_VALUE, "the record has no value")
    payload = _without_mark(payload)
    try:
        return _decoded(kind, payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        caught = error
    if not payload or payload.isspace():
        raise Rejected(Reason.EMPTY, f"nothing in {len(payload)} bytes")
    # Raised outside the handler: the error of msgspec holds the payload and must not travel as context.
    raise explain(caught, payload, kind)


def _without_mark(payload: bytes) -> bytes:
    """Return JSON without its byte order mark; a second one is not skipped."""
    marks = payload.startswith(codecs.BOM_UTF8) and not payload.startswith(codecs.BOM_UTF8 * 2)
    return payload.removeprefix(codecs.BOM_UTF8) if marks else payload


def _decoded(kind: type[M], payload: bytes) -> M:
    decoder: msgspec.json.Decoder[M] = _decoder(kind)
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decoder.decode(mended(payload))


def _milliseconds(moment: dt.datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return (moment - _EPOCH) // _MILLISECOND


def _id(domain: bytes, *parts: str) -> str:
    """Return 32 hex digits: BLAKE2b (RFC 7693) of the parts, each after its length, within a domain."""
    digest = hashlib.blake2b(digest_size=16, person=domain)
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()


def decision_id(app: str, event_id: str) -> str:
    """Return the id of the decision on an event."""
    return _id(b"weir.decision", app, event_id)


def alert_id(decision_id: str, rule: str) -> str:
    """Return the id of the alert that a rule raises on a decision."""
    return _id(b"weir.alert", decision_id, rule)


def drift_id(app: str, model: str, prompt_version: str, metric: str, detector: str, event_id: str) -> str:
    """Return the id of the drift found in a segment's metric by a detector at an event."""
    return _id(b"weir.drift", app, model, prompt_version, metric, detector, event_id)


def bias_id(app: str, model: str, prompt_version: str, group: str, measure: str, event_id: str) -> str:
    """Return the id of what a segment's answers say about a group at an event."""
    return _id(b"weir.bias", app, model, prompt_version, group, measure, event_id)


def dead_letter_id(topic: str, partition: int, offset: int, timestamp_ms: int) -> str:
    """Return the id of a dead letter.

    Kafka's timestamp is part of it, since a topic that is made anew counts offsets from 0 again.
    """
    return _id(b"weir.dead_letter", topic, str(partition), str(offset), str(timestamp_ms))


def change_id(what: str, *parts: str) -> str:
    """Return the id of a change of the policy."""
    return _id(b"weir.policy", what, *parts)


def flood_id(topic: str, reason: str, hour: int) -> str:
    """Return the id of the alert on a flood of dead letters in an hour (since 1970, of Kafka's time)."""
    return _id(b"weir.flood", topic, reason, str(hour))


def partition_key(event: Event) -> bytes:
    """Return the Kafka key on `llm.events` and `llm.decisions`: the conversation, or else the event."""
    return (event.conversation_id or event.event_id).encode()


class _InSegment(Protocol):
    @property
    def app(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def prompt_version(self) -> str: ...


def segment_key(event: _InSegment) -> bytes:
    """Return the Kafka key on `llm.scores`: app, model and prompt version as a JSON array."""
    return _ENCODER.encode((event.app, event.model, event.prompt_version))
