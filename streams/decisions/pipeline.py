"""From Kafka records to decisions: decode, score, decide, encode. No I/O."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from detectors.batch import Batch, Depth
from detectors.excerpt import few_metadata
from detectors.registry import fingerprint
from detectors.runner import Runner, ScoreMatrix
from schemas import codec
from schemas.events import SEVERITIES, VERDICTS, Decision, Event, RuleHit, ScoredEvent
from streams.decisions.alerts import Alerting, Raised
from streams.decisions.settings import DecisionSettings
from streams.decisions.text_storage import Keeper
from streams.kafka.dead_letters import Refused
from streams.kafka.records import Message, Record, require_readable
from streams.policy.rules import CompiledPolicy, Outcome
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry


@dataclass
class Output:
    """What one batch produces, as messages for Kafka: (key, value)."""

    decisions: list[Message] = field(default_factory=list)
    scores: list[Message] = field(default_factory=list)
    raised: list[Raised] = field(default_factory=list)
    """What becomes an alert: see `Pipeline.alerting`."""
    refused: list[Refused] = field(default_factory=list)
    """What becomes a dead letter."""
    accepted: list[bool] = field(default_factory=list)
    """Per record, in order: it is an event, not a dead letter."""
    windows: dict[str, int] = field(default_factory=dict)
    """By app: windows of its texts that the transformer has read."""


@dataclass(frozen=True)
class Judged:
    """A scored batch, its policy outcome, and what each row needs of it."""

    batch: Batch
    timestamps: list[int]
    kafka_timestamps: list[int]
    scored: ScoreMatrix
    outcome: Outcome
    policy: CompiledPolicy


class Pipeline:
    """Judges batches. Pure but for the metrics it observes: the same records give the same messages,
    except for `decided_at` and `latency_ms`.
    """

    def __init__(
        self, runner: Runner, settings: DecisionSettings, telemetry: Telemetry, now_ms: Callable[[], int]
    ) -> None:
        self._runner = runner
        self._telemetry = telemetry
        self._now_ms = now_ms
        self._keeper = Keeper(settings.storage, settings.redaction_key_bytes, runner.finders)
        self.alerting = Alerting(runner, self._keeper, telemetry)
        self._decoder = settings.decoder
        self._detectors_hash = fingerprint(runner.detectors, runner.models)

    def process(
        self,
        records: Sequence[Record],
        policy: CompiledPolicy,
        depths: Sequence[Depth] | None = None,
        reading_s: float = math.inf,
    ) -> Output:
        """Return what all records become: a decision and a scored event, or a dead letter, each.

        `depths` say how closely each is to be read, all of them in full if not given; `reading_s` limits the
        transformer (see `Batch`).
        """
        output = Output()
        events, timestamps, kafka_timestamps, read = [], [], [], []
        with self._telemetry.stage("decode"):
            now = self._now_ms()
            for record, depth in zip(records, depths or [Depth.FULL] * len(records), strict=True):
                try:
                    require_readable(record)
                    event, timestamp = self._decoder.decode_event(record.value, record.timestamp, now)
                except codec.Rejected as rejected:
                    output.accepted.append(False)
                    output.refused.append(Refused(record, rejected.reason, rejected.detail))
                    continue
                output.accepted.append(True)
                events.append(event)
                timestamps.append(timestamp)
                # A record without a time is as old as its reading.
                kafka_timestamps.append(record.timestamp if record.timestamp > 0 else now)
                read.append(depth)
        if events:
            batch = Batch(events, self._runner.models, read, reading_s)
            judged = self._judge(batch, timestamps, kafka_timestamps, policy)
            for event, count in zip(events, batch.windows().tolist(), strict=True):
                output.windows[event.app] = output.windows.get(event.app, 0) + count
            with self._telemetry.stage("encode"):
                self._write(judged, output)
        return output

    def _judge(
        self, batch: Batch, timestamps: list[int], kafka_timestamps: list[int], policy: CompiledPolicy
    ) -> Judged:
        with self._telemetry.stage("score"):
            scored = self._runner.score(batch)
        for name, seconds in scored.seconds.items():
            self._telemetry.observe(catalogue.DETECTOR_SECONDS, seconds, name)
        self._telemetry.count(catalogue.TEXTS_IN_DOUBT, batch.in_doubt)
        for name in scored.failed:
            self._telemetry.count(catalogue.DETECTOR_FAILURES, 1, name)
        with self._telemetry.stage("decide"):
            outcome = policy.evaluate(scored.matrix, batch.events, scored.failed, scored.unsure)
        return Judged(batch, timestamps, kafka_timestamps, scored, outcome, policy)

    def _write(self, judged: Judged, output: Output) -> None:
        metrics = self._runner.metrics
        rounded = np.round(judged.scored.matrix.astype(np.float64), 6).tolist()
        tripped = np.any(judged.outcome.hits, axis=1).tolist()
        findings = judged.scored.findings
        degraded = _degraded(judged.batch)
        alert_rules = {rule.id for rule in judged.policy.rules if rule.alert}
        latencies = []
        for row, event in enumerate(judged.batch.events):
            hits = judged.outcome.rule_hits(row, judged.scored.matrix) if tripped[row] else ()
            decision = self._decision(judged, row, hits, degraded.get(row, ()))
            latencies.append(decision.latency_ms)
            scores = {
                name: value for name, value in zip(metrics, rounded[row], strict=True) if value == value
            }
            scored_event = self._scored_event(judged, row, decision, scores)
            output.decisions.append((codec.partition_key(event), codec.encode(decision)))
            output.scores.append((codec.segment_key(event), codec.encode(scored_event)))
            if alerting := [hit for hit in hits if hit.rule in alert_rules]:
                when, known = judged.timestamps[row], findings.of(event.text)
                output.raised.append(Raised(judged.batch, row, when, decision, alerting, known))
        for name, count in Counter(name for names in degraded.values() for name in names).items():
            self._telemetry.count(catalogue.DEGRADED_DECISIONS, count, name)
        self._observe(judged, latencies)

    def _decision(
        self,
        judged: Judged,
        row: int,
        hits: tuple[RuleHit, ...],
        degraded: tuple[str, ...],
    ) -> Decision:
        event, outcome = judged.batch.events[row], judged.outcome
        action = VERDICTS[outcome.action[row]]
        text = None
        if action == "redact":
            text = self._keeper.redacted(event.text, judged.scored.findings, event.conversation_id)
        now = self._now_ms()
        return Decision(
            decision_id=codec.decision_id(event.app, event.event_id),
            event_id=event.event_id,
            app=event.app,
            kind=event.kind,
            verdict=VERDICTS[outcome.verdict[row]],
            action=action,
            severity=SEVERITIES[outcome.severity[row]],
            request_id=event.request_id,
            conversation_id=event.conversation_id,
            rules=hits,
            failed=judged.scored.failed,
            degraded=degraded,
            text=text,
            policy_version=judged.policy.policy.version,
            policy_hash=judged.policy.policy.hash,
            detectors_hash=self._detectors_hash,
            decided_at=now,
            latency_ms=float(max(0, now - judged.kafka_timestamps[row])),
        )

    def _scored_event(
        self, judged: Judged, row: int, decision: Decision, scores: dict[str, float]
    ) -> ScoredEvent:
        event, findings = judged.batch.events[row], judged.scored.findings
        if "long_text" in decision.degraded:
            event = few_metadata(event)
        return ScoredEvent(
            event=self._keeper.kept(_counted(event, scores), findings, decision.text),
            scores=scores,
            decision=decision,
            timestamp=judged.timestamps[row],
            storage=self._keeper.storage(findings.of(event.text)),
            text_hash=self._keeper.hash(judged.batch.published[row].text),
            pii_types=findings.kinds(event),
        )

    def _observe(self, judged: Judged, latencies: Sequence[float]) -> None:
        codes, counts = np.unique(judged.outcome.action, return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            self._telemetry.count(catalogue.DECISIONS, count, VERDICTS[code])
        totals = judged.outcome.hits.sum(axis=0).tolist()
        for rule, total in zip(judged.policy.rules, totals, strict=True):
            if total:
                self._telemetry.count(catalogue.RULE_HITS, total, rule.id, rule.mode)
        for latency in latencies:
            self._telemetry.observe(catalogue.DECISION_LATENCY_SECONDS, latency / 1000)


def _degraded(batch: Batch) -> dict[int, tuple[str, ...]]:
    """Return by row what was left out of its judging, for the rows where something was."""
    found: dict[int, tuple[str, ...]] = {}
    for name, rows in (("transformer", batch.left_out()), ("long_text", batch.shortened())):
        for row in np.flatnonzero(rows).tolist():
            found[row] = (*found.get(row, ()), name)
    return found


def _counted(event: Event, scores: dict[str, float]) -> Event:
    """Return the event with the tokens of its own text, counted where the app gave none."""
    name = f"{event.kind}_tokens"
    if getattr(event, name) is not None or "text_tokens" not in scores:
        return event
    return msgspec.structs.replace(event, **{name: int(scores["text_tokens"])})
