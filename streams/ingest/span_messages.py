"""From lines of OpenTelemetry spans to messages on `llm.events`, each span counted by what became of it."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from schemas import codec
from schemas.events import Event
from schemas.otel.kinds import SpanKind
from schemas.rejection import Rejected
from streams.ingest.field_map import FieldMap
from streams.ingest.files import InputRow
from streams.ingest.publish import PartlyRejectedError, Preparer, Tally
from streams.ingest.spans import ExportedSpan, spans_from_line
from streams.kafka.records import Message

HELD: Final = 1_000
"""Wrappers that wait to see whether the calls in them come; agents end after their calls, but a file may
be sorted by start. Of about 10 kB each."""
TRACES: Final = 100_000
"""Traces of which it is known that they have a generation: some 20 MB."""


@dataclass
class SpanTally:
    """What became of the spans so far."""

    read: int = 0
    published: int = 0
    """That gave an event."""
    without_prompt: int = 0
    """Of the published ones."""
    without_answer: int = 0
    with_reasoning: int = 0
    """Calls of a model whose reasoning was left out."""
    repeats: int = 0
    """Agents, chains and workflows, whose calls were published."""
    without_content: int = 0
    """Calls of a model, and what wraps them, without a text."""
    refused: int = 0
    switches: Counter[str] = field(default_factory=Counter)
    """Settings that would make the instrumentations write texts, with the spans that lacked them."""
    others: Counter[SpanKind] = field(default_factory=Counter)


class _Held(NamedTuple):
    trace_id: str
    prepared: list[tuple[Event, bytes]]


class SpanPreparer(Preparer):
    """Turns lines of OpenTelemetry spans into messages; `fields` sets constants such as the app.

    Agents, chains and workflows repeat the texts of the calls in them: they are held until the end (at most
    `HELD`), and published only where no call of their trace had a text, each text once.
    """

    def __init__(
        self,
        decoder: codec.Decoder,
        name: str,
        fields: FieldMap | None,
        tally: Tally,
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__(decoder, name, fields, tally, now_ms)
        self.spans = SpanTally()
        self._held: deque[_Held] = deque()
        self._generations: dict[str, None] = {}
        self._said: dict[tuple[str, str, str], None] = {}

    def __call__(self, row: InputRow) -> list[Message]:
        """Return the messages of the spans in a line; raises `Rejected`."""
        assert isinstance(row.value, bytes)
        if not row.value or row.value.isspace():
            return []
        messages: list[Message] = []
        problems: list[Rejected] = []
        for span in spans_from_line(row.value):
            try:
                if span.problem is not None:
                    raise span.problem
                messages += self._of_span(span)
                self.spans.read += 1
            except Rejected as rejected:
                problems.append(rejected)
        while len(self._held) > HELD:
            messages += self._resolved(self._held.popleft())
        if problems:
            self.spans.read += len(problems)
            self.spans.refused += len(problems)
            raise PartlyRejectedError(problems[0], len(problems), messages)
        return messages

    def finish(self) -> list[Message]:
        """Return the messages of the wrappers that were held, in which no call was found."""
        messages: list[Message] = []
        while self._held:
            messages += self._resolved(self._held.popleft())
        return messages

    def _of_span(self, span: ExportedSpan) -> list[Message]:
        if span.kind not in (SpanKind.GENERATION, SpanKind.WRAPPER):
            self.spans.others[span.kind] += 1
            return []
        self.spans.with_reasoning += span.reasoning
        if not span.events:
            self.spans.without_content += 1
            if span.switch:
                self.spans.switches[span.switch] += 1
            return []
        prepared = [self._prepared(event) for event in span.events]
        if span.kind is SpanKind.WRAPPER:
            self._held.append(_Held(span.trace_id, prepared))
            return []
        _remember(self._generations, span.trace_id)
        self._count_published([event for event, _ in prepared])
        return [(self._counted(event), payload) for event, payload in prepared]

    def _count_published(self, events: list[Event]) -> None:
        kinds = {event.kind for event in events}
        self.spans.published += 1
        self.spans.without_prompt += "prompt" not in kinds
        self.spans.without_answer += "completion" not in kinds

    def _prepared(self, event: Event) -> tuple[Event, bytes]:
        payload = codec.encode(event)
        if self._fields is not None:
            payload = msgspec.json.encode(self._fields.apply(msgspec.json.decode(payload)))
        return self._checked(payload), payload

    def _resolved(self, held: _Held) -> list[Message]:
        """Return what a wrapper says that no call of its trace and no wrapper in it has said."""
        new = [
            (event, payload)
            for event, payload in held.prepared
            if held.trace_id not in self._generations
            and (held.trace_id, event.kind, event.text) not in self._said
        ]
        for event, _ in new:
            _remember(self._said, (held.trace_id, event.kind, event.text))
        if new:
            self._count_published([event for event, _ in new])
        else:
            self.spans.repeats += 1
        return [(self._counted(event), payload) for event, payload in new]


def _remember(known: dict[Any, None], key: object) -> None:
    known[key] = None
    if len(known) > TRACES:
        del known[next(iter(known))]


def summary(tally: SpanTally) -> list[str]:
    """Return lines that say what became of the spans, the published ones first."""
    found = [
        (tally.published, "published" + _incomplete(tally)),
        (tally.repeats, f"{SpanKind.WRAPPER}: not published, for the calls in it were"),
        (tally.without_content, f"{SpanKind.GENERATION} without a text{_switches(tally)}"),
        *((count, kind.value) for kind, count in sorted(tally.others.items())),
        (tally.refused, "not readable, or over a limit"),
    ]
    waiting = tally.read - sum(count for count, _ in found)
    found.append((waiting, f"{SpanKind.WRAPPER}: not reached"))
    found.append((tally.with_reasoning, "of these with reasoning, which nobody is shown: not published"))
    return [f"spans {tally.read:>15,}"] + [f"  {count:>18,}  {what}" for count, what in found if count]


def _incomplete(tally: SpanTally) -> str:
    parts = [(tally.without_prompt, "without a prompt"), (tally.without_answer, "without an answer")]
    return "".join(f", {count:,} {what}" for count, what in parts if count)


def _switches(tally: SpanTally) -> str:
    if not tally.switches:
        return ""
    most = " or ".join(name for name, _ in tally.switches.most_common(2))
    return f": is the capture of content off? {most} switches it on"
