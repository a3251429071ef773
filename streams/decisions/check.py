"""Judges one event as the guard would, without a broker and without a store."""

import time
from dataclasses import dataclass

import msgspec

from detectors.batch import Batch
from detectors.runner import Runner
from schemas import codec, topics
from schemas.events import Decision, Event, Evidence, ScoredEvent
from streams.decisions.pipeline import Pipeline
from streams.decisions.scoring import make_runner, owners
from streams.decisions.settings import DecisionSettings
from streams.decisions.text_storage import Keeper
from streams.errors import UserError
from streams.policy.file import load
from streams.telemetry.metrics import Telemetry


class _Record(msgspec.Struct):
    """An event as if it came from Kafka."""

    value: bytes | None
    timestamp: int
    topic: str = topics.EVENTS
    partition: int = 0
    offset: int = 0
    key: bytes | None = None


@dataclass(frozen=True)
class Judgement:
    """What is found in one event."""

    decision: Decision
    scored: ScoredEvent
    """Holds the scores; its event's text is the redacted one."""
    metrics: dict[str, str]
    """Every metric with its detector, in order; one without a score does not apply."""
    evidence: tuple[Evidence, ...]
    """As alerts carry it: without words that are redacted."""


def judge(event: Event, settings: DecisionSettings) -> Judgement:
    """Judge `event` under the policy of `settings`, which must have `storage="redacted"`.

    Raises the errors of `make_runner` and `policy.file.load`; `UserError` for an event beyond the limits.
    """
    runner = make_runner(settings)
    try:
        return _judge(event, settings, runner)
    finally:
        runner.close()


def _judge(event: Event, settings: DecisionSettings, runner: Runner) -> Judgement:
    policy = load(settings.policy, owners(runner), runner.ranges).compile(runner.metrics)
    now = time.time_ns() // 1_000_000
    pipeline = Pipeline(runner, settings, Telemetry("check"), lambda: now)
    output = pipeline.process([_Record(codec.encode(event), now)], policy)
    if output.refused:
        raise UserError(f"this would become a dead letter: {output.refused[0].detail}")
    keeper = Keeper(settings.storage, settings.redaction_key_bytes)
    batch = Batch([event], runner.models)
    known = runner.score(batch).findings.of(event.text)
    found = runner.explain(batch, 0, runner.metrics)
    decision, scored = output.decisions[0][1], output.scores[0][1]
    return Judgement(
        decision=codec.decode(Decision, decision),
        scored=codec.decode(ScoredEvent, scored),
        metrics=owners(runner),
        evidence=tuple(keeper.evidence(item, known) for item in found),
    )
