"""Judges one event as the guard would, without a broker and without a store."""

from dataclasses import dataclass

from detectors.runner import Runner
from schemas import codec
from schemas.events import Decision, Event, Evidence, ScoredEvent
from streams.decisions.judge import Judge
from streams.decisions.scoring import make_runner, owners
from streams.decisions.settings import DecisionSettings
from streams.decisions.text_storage import Keeper
from streams.errors import UserError
from streams.policy.file import load


@dataclass(frozen=True)
class Checked:
    """What is found in one event."""

    decision: Decision
    scored: ScoredEvent
    """Holds the scores; its event's text is the redacted one."""
    metrics: dict[str, str]
    """Every metric with its detector, in order; one without a score does not apply."""
    evidence: tuple[Evidence, ...]
    """As alerts carry it: without words that are redacted."""


def check(event: Event, settings: DecisionSettings) -> Checked:
    """Judge `event` under the policy of `settings`, which must have `storage="redacted"`.

    Raises the errors of `make_runner` and `policy.file.load`; `UserError` for an event beyond the limits.
    """
    runner = make_runner(settings)
    try:
        return _check(event, settings, runner)
    finally:
        runner.close()


def _check(event: Event, settings: DecisionSettings, runner: Runner) -> Checked:
    policy = load(settings.policy, owners(runner), runner.ranges).compile(runner.metrics, runner.counted)
    judge = Judge(runner, Keeper(settings.storage, settings.redaction_key_bytes, runner.finders))
    decoder, now = settings.decoder, judge.now_ms()
    try:
        decoder.check_size(len(codec.encode(event)))
        event, timestamp = decoder.accept(event, now, now)
    except codec.Rejected as rejected:
        raise UserError(f"this would become a dead letter: {rejected.detail}") from None
    judged = judge.judge([event], policy, timestamps=[timestamp])
    return Checked(
        decision=judged.decisions[0],
        scored=judged.scored[0],
        metrics={name: runner.owner(name) for name in (*runner.metrics, *judged.scores.counts.get(0, {}))},
        evidence=tuple(judge.evidence(judged.batch, 0, runner.metrics)),
    )
