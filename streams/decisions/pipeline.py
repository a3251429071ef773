"""From Kafka records to messages for Kafka: decodes and encodes around the judge. No I/O."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from detectors.batch import Depth
from schemas import codec
from schemas.events import Decision, Event, ScoredEvent
from streams.decisions.clocks import Clocks
from streams.decisions.judge import Judge, Judged, Raised
from streams.decisions.observe import observe
from streams.kafka.dead_letters import Refused
from streams.kafka.records import Message, Record, require_readable
from streams.policy.rules import CompiledPolicy
from streams.telemetry.metrics import Telemetry


@dataclass
class Output:
    """What one batch produces, as messages for Kafka: (key, value)."""

    decisions: list[Message] = field(default_factory=list)
    scores: list[Message] = field(default_factory=list)
    raised: list[Raised] = field(default_factory=list)
    """What becomes an alert: see `Alerting`."""
    refused: list[Refused] = field(default_factory=list)
    """What becomes a dead letter."""
    accepted: list[bool] = field(default_factory=list)
    """Per record, in order: it is an event, not a dead letter."""
    windows: dict[str, int] = field(default_factory=dict)
    """By app: windows of its texts that the transformer has read."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a record holds, and when that happened and came here, in milliseconds since 1970 (UTC)."""

    event: Event
    timestamp: int
    received: int


class Pipeline:
    """Judges records. Pure but for the metrics it observes."""

    def __init__(self, judge: Judge, decoder: codec.Decoder, telemetry: Telemetry) -> None:
        self._judge = judge
        self._decoder = decoder
        self._telemetry = telemetry
        self._clocks = Clocks(telemetry, decoder.max_future_ms)

    def decode(self, records: Sequence[Record]) -> Iterator[Decoded | Refused]:
        """Yield of each record what it holds, or why it is refused."""
        with self._telemetry.stage("decode"):
            now, ahead = self._judge.now_ms(), 0
            for record in records:
                found = self._decoded(record, now)
                if isinstance(found, Decoded) and self._decoder.is_of_a_clock(record.timestamp, now):
                    ahead = max(ahead, record.timestamp - now)
                yield found
            self._clocks.note(ahead)

    def _decoded(self, record: Record, now: int) -> Decoded | Refused:
        try:
            require_readable(record)
            event, timestamp = self._decoder.decode_event(record.value, record.timestamp, now)
        except codec.Rejected as rejected:
            return Refused(record, rejected.reason, rejected.detail)
        # A record without a time, or with seconds for milliseconds, is as old as its reading.
        known = record.timestamp > 0 and self._decoder.is_sane(record.timestamp, now)
        return Decoded(event, timestamp, record.timestamp if known else now)

    def process(
        self,
        decoded: Sequence[Decoded | Refused],
        policy: CompiledPolicy,
        depths: Sequence[Depth] | None = None,
        reading_s: float = math.inf,
    ) -> Output:
        """Return what all records become: a decision and a scored event, or a dead letter, each.

        `depths` say how closely each is to be read, all of them in full if not given; `reading_s` limits the
        transformer (see `Batch`).
        """
        rows = zip(decoded, depths or [Depth.FULL] * len(decoded), strict=True)
        events = [(each, depth) for each, depth in rows if isinstance(each, Decoded)]
        output = Output(
            refused=[each for each in decoded if isinstance(each, Refused)],
            accepted=[isinstance(each, Decoded) for each in decoded],
        )
        if events:
            judged = self._judge.judge(
                [each.event for each, _ in events],
                policy,
                timestamps=[each.timestamp for each, _ in events],
                received=[each.received for each, _ in events],
                depths=[depth for _, depth in events],
                reading_s=reading_s,
            )
            observe(judged, self._telemetry)
            with self._telemetry.stage("encode"):
                _write(judged, output)
        return output


def _write(judged: Judged, output: Output) -> None:
    for event, count in zip(judged.batch.events, judged.batch.windows().tolist(), strict=True):
        output.windows[event.app] = output.windows.get(event.app, 0) + count
    for decision, scored in zip(judged.decisions, judged.scored, strict=True):
        decided, kept = messages(decision, scored)
        output.decisions.append(decided)
        output.scores.append(kept)
    output.raised = judged.raised


def messages(decision: Decision, scored: ScoredEvent) -> tuple[Message, Message]:
    """Return what goes to `llm.decisions` and to `llm.scores`."""
    return (
        (codec.partition_key(scored.event), codec.encode(decision)),
        (codec.segment_key(scored.event), codec.encode(scored)),
    )
