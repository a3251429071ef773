"""From rows to messages on a topic of events: mapped, given an id, validated, sent in batches."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from schemas import codec, topics
from schemas.events import Event
from schemas.rejection import Reason, Rejected
from streams.ingest.field_map import FieldMap
from streams.ingest.files import InputRow, RowSource
from streams.ingest.lines import check_encoding, check_no_span, encoded, parsed
from streams.ingest.misnamed import named
from streams.kafka.records import Message, Producer

BATCH: Final = 1_000
SHOWN: Final = 20
"""Bad rows that are shown one by one; further ones are counted."""
_STEPS: Final = 20
"""Batches per second, at most, when there is a rate: a slow one is spread evenly."""
_HINTS: Final = {
    Reason.TOO_LARGE: "WEIR_MAX_EVENT_BYTES sets the limit",
    Reason.TIMESTAMP_TOO_OLD: "WEIR_MAX_EVENT_AGE_DAYS sets the limit",
    Reason.TIMESTAMP_IN_FUTURE: "WEIR_MAX_EVENT_FUTURE_S sets the limit",
}
_MAPPING_HINTS: Final = {
    Reason.MISSING_FIELD: "--map FIELD=COLUMN or --set FIELD=VALUE gives one",
    Reason.WRONG_TYPE: "--map takes a field from another column",
}
_SYNTAX: Final = (Reason.INVALID_JSON, Reason.TRUNCATED_JSON)


class BadRowError(Exception):
    """A row that is no event; the message says where it is and what is wrong, without its text."""


class PartlyRejectedError(Rejected):
    """A row of which a part is no event; the rest is sent where bad rows are skipped."""

    def __init__(self, rejected: Rejected, refused: int, rest: list[Message]) -> None:
        more = f" ({refused} spans of this line)" if refused > 1 else ""
        super().__init__(rejected.reason, rejected.detail + more)
        self.rest = rest


@dataclass
class Tally:
    """What became of the rows so far."""

    prepared: int = 0
    handed_over: int = 0
    """Given to the producer; what is not published either may or may not have arrived."""
    published: int = 0
    """Acknowledged by the broker."""
    bad: int = 0
    generated_ids: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    apps: set[str] = field(default_factory=set)


class Preparer:
    """Turns rows into messages.

    Without a field map a line is sent as it is. A missing event id becomes `<file>-<line>-<digest>`, the
    digest being 8 hex digits of BLAKE2b (RFC 7693) over the rest of the event: the same file gives the
    same ids.
    """

    def __init__(
        self,
        decoder: codec.Decoder,
        name: str,
        fields: FieldMap | None,
        tally: Tally,
        now_ms: Callable[[], int],
    ) -> None:
        self._decoder = decoder
        self._name = name[:200]
        self._fields = fields
        self._tally = tally
        self._now_ms = now_ms

    def __call__(self, row: InputRow) -> list[Message]:
        """Return the message of a row, none for an empty line; raises `Rejected`."""
        value = row.value
        if row.problem:
            raise Rejected(Reason.INVALID_VALUE, row.problem)
        if isinstance(value, bytes):
            if not value or value.isspace():
                return []
            check_encoding(value)
            if self._fields is None:
                return [self._as_it_is(value, row.number)]
            value = parsed(value)
            check_no_span(value)
        assert self._fields is not None, "a table is always mapped"
        return [self._named_message(self._fields.apply(value), row.number, value)]

    def finish(self) -> list[Message]:
        """Return what was kept until all rows were seen: nothing."""
        return []

    def _as_it_is(self, line: bytes, number: int) -> Message:
        try:
            return self._message(line)
        except Rejected as rejected:
            if rejected.reason is not Reason.MISSING_FIELD:
                raise
            fields = parsed(line)
            check_no_span(fields)
            if "event_id" in fields:
                raise named(rejected, fields) from None
        return self._named_message(fields, number, fields)

    def _named_message(self, fields: dict[str, Any], number: int, given: Mapping[str, Any]) -> Message:
        try:
            return self._message(self._identified(fields, number))
        except Rejected as rejected:
            raise named(rejected, given) from None

    def _identified(self, fields: dict[str, Any], number: int) -> bytes:
        payload = encoded(fields)
        if "event_id" in fields:
            return payload
        self._tally.generated_ids += 1
        digest = hashlib.blake2b(payload, digest_size=4).hexdigest()
        return encoded({"event_id": f"{self._name}-{number}-{digest}", **fields})

    def _message(self, payload: bytes) -> Message:
        return self._counted(self._checked(payload)), payload

    def _checked(self, payload: bytes) -> Event:
        now = self._now_ms()
        event, _ = self._decoder.decode_event(payload, now, now)
        return event

    def _counted(self, event: Event) -> bytes:
        self._tally.kinds[event.kind] = self._tally.kinds.get(event.kind, 0) + 1
        self._tally.apps.add(event.app)
        return codec.partition_key(event)


def raw(row: InputRow) -> list[Message]:
    """Return a line as it is, good or bad; its key is its number, so that lines spread over partitions."""
    assert isinstance(row.value, bytes)
    return [(str(row.number).encode(), row.value)]


@dataclass(frozen=True)
class Publication:
    """One run: which rows, how they become messages, how many and how fast."""

    source: RowSource
    prepare: Callable[[InputRow], list[Message]]
    tally: Tally
    report: Callable[[str], None]
    """Told about each of the first bad rows that are skipped, and about what is wrong with good ones."""
    skip_bad: bool = False
    limit: int | None = None
    rate: float | None = None
    mappable: bool = True
    """Whether --map and --set may mend a row."""
    finish: Callable[[], list[Message]] = list
    """Returns what `prepare` kept until all rows were seen."""
    topic: str = topics.EVENTS_BULK
    look: Callable[[InputRow], Iterable[str]] | None = None
    """Returns what there is to say of a good row."""

    async def batches(self) -> AsyncIterator[list[Message]]:
        """Yield messages in batches; raises `BadRowError` after the good rows before a bad one."""
        size = BATCH if self.rate is None else max(1, min(BATCH, int(self.rate / _STEPS)))
        chunks = self.source.chunks()
        while True:
            await self.source.ready()
            rows = next(chunks, None)
            prepared = self._prepared(rows, size) if rows is not None else self._cut(self.finish(), size)
            for batch in prepared:
                self.tally.prepared += len(batch)
                yield batch
            if rows is None or self._full:
                return

    @property
    def _full(self) -> bool:
        return self.limit is not None and self.tally.prepared >= self.limit

    def _prepared(self, rows: Sequence[InputRow], size: int) -> Iterator[list[Message]]:
        batch: list[Message] = []
        for row in rows:
            try:
                batch += self.prepare(row)
            except Rejected as rejected:
                problem = self._bad(row, rejected)
                if not self.skip_bad:
                    if batch:
                        yield batch
                    raise BadRowError(problem) from None
                batch += getattr(rejected, "rest", [])
            else:
                for said in self.look(row) if self.look else ():
                    self.report(f"warning: {self.source.name}:{row.number}: {said}")
            wanted = size if self.limit is None else min(size, self.limit - self.tally.prepared)
            while len(batch) >= wanted:
                yield batch[:wanted]
                if self._full:
                    return
                batch = batch[wanted:]
                wanted = size if self.limit is None else min(size, self.limit - self.tally.prepared)
        if batch:
            yield batch

    def _cut(self, messages: list[Message], size: int) -> Iterator[list[Message]]:
        if self.limit is not None:
            messages = messages[: self.limit - self.tally.prepared]
        return (messages[i : i + size] for i in range(0, len(messages), size))

    def _bad(self, row: InputRow, rejected: Rejected) -> str:
        self.tally.bad += 1
        syntax = rejected.reason in _SYNTAX and "JSON" not in rejected.detail
        detail = f"not JSON: {rejected.detail}" if syntax else rejected.detail
        hint = self._hint(rejected)
        problem = f"{self.source.name}:{row.number}: {detail}" + (f" ({hint})" if hint else "")
        if self.skip_bad and self.tally.bad <= SHOWN:
            self.report(problem)
        return problem

    def _hint(self, rejected: Rejected) -> str | None:
        if not self.mappable or "--otel" in rejected.detail or "--map" in rejected.detail:
            return _HINTS.get(rejected.reason)
        if rejected.detail.startswith("`$.kind`"):
            return "a kind is prompt or completion: --set kind=prompt"
        return (_HINTS | _MAPPING_HINTS).get(rejected.reason)

    async def run(self, producer: Producer, progress: Callable[[], None]) -> None:
        """Send everything, and keep the tally."""
        started = time.monotonic()
        sending: asyncio.Task[None] | None = None
        try:
            async for batch in self.batches():
                if sending is not None:
                    # Shielded: what Ctrl-C finds on its way is delivered and counted, not cut off.
                    await asyncio.shield(sending)
                self.tally.handed_over += len(batch)
                sending = asyncio.create_task(self._send(producer, batch))
                await asyncio.sleep(0)  # let it begin before the next batch is prepared
                progress()
                if self.rate is not None:
                    await asyncio.shield(sending)
                    await asyncio.sleep(started + self.tally.prepared / self.rate - time.monotonic())
        finally:
            if sending is not None:
                await sending
        progress()

    async def _send(self, producer: Producer, batch: list[Message]) -> None:
        await producer.send(self.topic, batch)
        self.tally.published += len(batch)
