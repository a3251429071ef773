"""Typed events in, typed judgements out: score, decide, reduce. Knows no Kafka, no bytes and no metrics."""

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress

import msgspec
import numpy as np

from detectors.base import Detector
from detectors.batch import Batch, Depth
from detectors.excerpt import few_metadata
from detectors.registry import fingerprint
from detectors.runner import Runner, ScoreMatrix
from schemas import codec
from schemas.events import SEVERITIES, VERDICTS, Decision, Event, Evidence, RuleHit, ScoredEvent
from schemas.fields import LANGUAGE
from streams.decisions.text_storage import Keeper
from streams.decisions.traits import Teller, Traits
from streams.policy.columns import Numbers, counted_column
from streams.policy.rules import CompiledPolicy, Outcome

Usage = Callable[[Collection[str], Sequence[Event], int], Mapping[str, Numbers]]
"""What whoever each of N events is of has used until a time, milliseconds: (N,) by name, as
`schemas.fields.USAGE` has them; NaN where the event does not say whose it is."""


def no_usage(names: Collection[str], events: Sequence[Event], now: int) -> Mapping[str, Numbers]:
    """Know of none."""
    return {}


def wall_clock_ms() -> int:
    """Return the time, in milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Raised:
    """A row of a batch, and the rules with an alert that it tripped."""

    batch: Batch
    row: int
    scored: ScoredEvent
    hits: Sequence[RuleHit]


@dataclass(frozen=True, slots=True)
class Judged:
    """A batch of N events and what became of each, column by column."""

    batch: Batch
    scores: ScoreMatrix
    outcome: Outcome
    policy: CompiledPolicy
    languages: Sequence[str]
    """ISO 639-1, empty where it is not known."""
    decisions: list[Decision] = field(default_factory=list)
    scored: list[ScoredEvent] = field(default_factory=list)
    """With the texts reduced as the storage policy says."""
    raised: list[Raised] = field(default_factory=list)
    """What becomes an alert."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall clock by stage: `score`, `decide`, `reduce`."""


@dataclass(frozen=True, slots=True)
class _Times:
    """When each of N events happened and came here, in milliseconds since 1970 (UTC)."""

    happened: Sequence[int]
    received: Sequence[int]


class Judge:
    """Judges events, for whoever has some: the guard, a gate, `weir check`, a backtest.

    The same events give the same judgements, except for `decided_at` and `latency_ms`. Any thread may ask;
    one batch is scored at a time.

    Args:
        runner: scores them.
        keeper: reduces their texts, by the finders of the runner.
        now_ms: milliseconds since 1970 (UTC).
        usage: what the policy may ask of the usage; without it no condition on that holds.

    """

    def __init__(
        self,
        runner: Runner,
        keeper: Keeper,
        now_ms: Callable[[], int] = wall_clock_ms,
        usage: Usage = no_usage,
    ) -> None:
        self.runner = runner
        self.now_ms = now_ms
        self._keeper = keeper
        self._usage = usage
        self._hashed = runner.detectors, fingerprint(runner.detectors, runner.models)
        self._teller = Teller(runner)

    def judge(
        self,
        events: Sequence[Event],
        policy: CompiledPolicy,
        *,
        timestamps: Sequence[int] | None = None,
        received: Sequence[int] | None = None,
        depths: Sequence[Depth] | None = None,
        reading_s: float = math.inf,
        deadline: float = math.inf,
    ) -> Judged:
        """Return the judgements on N events, when they are all there.

        Args:
            events: what is judged.
            policy: compiled for metrics that the runner has, or had a moment ago.
            timestamps: when each happened, in milliseconds since 1970 (UTC); now, if not given.
            received: what its latency is measured from; now, if not given.
            depths: how closely each is read; all of them in full, if not given.
            reading_s: limits the transformer (see `Batch`).
            deadline: by `time.monotonic`: what is not scored by then has failed, or is left out, and the
                decisions say so.

        """
        batch = Batch(events, self.runner.models, depths, reading_s, deadline)
        now = [self.now_ms()] * len(events) if timestamps is None or received is None else ()
        times = _Times(now if timestamps is None else timestamps, now if received is None else received)
        began = time.perf_counter()
        scores = self.runner.score(batch)
        scored = time.perf_counter()
        policy = policy.bound_to(scores.metrics)
        beside = dict(self._usage(policy.usage, batch.events, self.now_ms())) if policy.usage else {}
        beside |= {name: counted_column(name, scores.counts, len(events)) for name in policy.counts}
        languages = _languages(batch, scores)
        outcome = policy.evaluate(
            scores.matrix, batch.events, scores.failed, scores.unsure, beside, languages
        )
        decided = time.perf_counter()
        judged = Judged(batch, scores, outcome, policy, languages)
        self._reduce(judged, times)
        reduced = time.perf_counter()
        judged.seconds.update(score=scored - began, decide=decided - scored, reduce=reduced - decided)
        return judged

    def is_cheap(self, metric: str) -> bool:
        """Return whether evidence for a metric takes microseconds."""
        return self.runner.is_cheap(metric)

    def evidence(self, batch: Batch, row: int, metrics: Collection[str]) -> list[Evidence]:
        """Return the evidence of one row of a judged batch, without words that are not kept."""
        known = batch.findings.of(batch.texts[row])
        return [self._keeper.evidence(item, known) for item in self.runner.explain(batch, row, metrics)]

    def _reduce(self, judged: Judged, times: _Times) -> None:
        """Fill in the decisions, the scored events and what is raised."""
        metrics, matrix = judged.scores.metrics, judged.scores.matrix
        rounded = np.round(matrix.astype(np.float64), 6).tolist()
        applies = (~np.isnan(matrix)).tolist()
        tripped = np.any(judged.outcome.hits, axis=1).tolist()
        alert_rules = {rule.id for rule in judged.policy.rules if rule.alert}
        degraded = left_out(judged.batch)
        traits = self._teller.of(judged.batch)
        for row in range(len(judged.batch)):
            hits = judged.outcome.rule_hits(row, matrix) if tripped[row] else ()
            decision = self._decision(judged, row, hits, degraded.get(row, ()), times.received[row])
            scores = dict(compress(zip(metrics, rounded[row], strict=True), applies[row]))
            scores |= judged.scores.counts.get(row, {})
            scored = self._scored(judged, row, decision, scores, times.happened[row], traits[row])
            judged.decisions.append(decision)
            judged.scored.append(scored)
            if alerting := [hit for hit in hits if hit.rule in alert_rules]:
                judged.raised.append(Raised(judged.batch, row, scored, alerting))

    def _hash(self, detectors: tuple[Detector, ...]) -> str:
        """Return the fingerprint of detectors; computed again only where others gave the scores."""
        known, found = self._hashed
        if known is not detectors:
            found = fingerprint(detectors, self.runner.models)
            self._hashed = detectors, found
        return found

    def _decision(
        self, judged: Judged, row: int, hits: tuple[RuleHit, ...], degraded: tuple[str, ...], received: int
    ) -> Decision:
        event, outcome = judged.batch.events[row], judged.outcome
        action = VERDICTS[outcome.action[row]]
        text = None
        if action == "redact":
            text = self._keeper.redacted(event.text, judged.batch.findings, event.conversation_id)
        now = self.now_ms()
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
            failed=judged.scores.failed,
            degraded=degraded,
            text=text,
            policy_version=judged.policy.policy.version,
            policy_hash=judged.policy.policy.hash,
            detectors_hash=self._hash(judged.scores.detectors),
            decided_at=now,
            latency_ms=float(max(0, now - received)),
        )

    def _scored(
        self,
        judged: Judged,
        row: int,
        decision: Decision,
        scores: dict[str, float],
        happened: int,
        traits: Traits,
    ) -> ScoredEvent:
        batch = judged.batch
        event, findings = batch.events[row], batch.findings
        if "long_text" in decision.degraded:
            event = few_metadata(event)
        kept = self._keeper.kept(_counted(event, scores), findings, decision.text)
        return ScoredEvent(
            event=kept,
            scores=scores,
            decision=decision,
            timestamp=happened,
            storage=self._keeper.storage(findings.of(event.text)),
            text_hash=self._keeper.hash(batch.published[row].text),
            pii_types=findings.kinds(event),
            language=judged.languages[row],
            named_groups=traits.named_groups,
            nearest_reference=traits.nearest_reference,
            sketch=self._teller.sketch(traits, batch.texts[row], kept.text),
        )


def _languages(batch: Batch, scores: ScoreMatrix) -> Sequence[str]:
    """Return the language of each text; of none, where the detector does not run or has failed."""
    if LANGUAGE in scores.failed or not any(each.name == LANGUAGE for each in scores.detectors):
        return [""] * len(batch)
    return batch.languages


def left_out(batch: Batch) -> Mapping[int, tuple[str, ...]]:
    """Return by row what was left out of its judging, for the rows where something was."""
    found: dict[int, tuple[str, ...]] = {}
    for row, name in _left_out(batch):
        found[row] = (*found.get(row, ()), name)
    return found


def _left_out(batch: Batch) -> Iterator[tuple[int, str]]:
    for name, rows in (("transformer", batch.left_out()), ("long_text", batch.shortened())):
        for row in np.flatnonzero(rows).tolist():
            yield row, name


def _counted(event: Event, scores: dict[str, float]) -> Event:
    """Return the event with the tokens of its own text, counted where the app gave none."""
    name = f"{event.kind}_tokens"
    if getattr(event, name) is not None or "text_tokens" not in scores:
        return event
    return msgspec.structs.replace(event, **{name: int(scores["text_tokens"])})
