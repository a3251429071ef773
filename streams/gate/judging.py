"""The judge of the gate: the guard's own detectors and policy, for events that came by HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detectors.batch import Batch
from detectors.privacy.finders import Findings
from detectors.runner import Runner, ScoreMatrix
from schemas import topics
from schemas.events import Decision, Event, Evidence
from streams.decisions.alerts import Alerting
from streams.decisions.in_force import PolicyInForce
from streams.decisions.judge import Judge, Raised, Usage, no_usage
from streams.decisions.observe import observe
from streams.decisions.pipeline import messages
from streams.decisions.settings import DecisionSettings
from streams.decisions.text_storage import Keeper
from streams.decisions.warm_up import warm_up
from streams.gate.outbox import Parcel
from streams.kafka.records import Message
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

TOPICS = (topics.DECISIONS, topics.SCORES)
"""Of the two messages of a judged event."""


@dataclass(frozen=True)
class JudgedEvent:
    """A judged event, with what is to be recorded of it."""

    decision: Decision
    scores: dict[str, float]
    parcels: tuple[Parcel, ...]
    raised: Raised | None
    batch: Batch
    row: int


class Part(Event, frozen=True, kw_only=True):
    """A piece of a completion that is still being written: judged, and neither counted nor recorded."""

    @classmethod
    def of(cls, event: Event, text: str) -> "Part":
        """Return the part of `event` that has this text."""
        given = {name: getattr(event, name) for name in event.__struct_fields__}
        return cls(**(given | {"text": text}))


class _NoTime(Runner):
    """Gives no score: every detector failed, for lack of time."""

    def score(self, batch: Batch) -> ScoreMatrix:
        """Return NaN everywhere; what the texts hold is not known either, so they are withheld."""
        batch.keep("findings", Findings(None, {}))
        shape = (len(batch), len(self.metrics))
        names = tuple(detector.name for detector in self.detectors)
        matrix = np.full(shape, np.nan, dtype=np.float32)
        return ScoreMatrix(matrix, self.metrics, names, {}, np.zeros(shape, dtype=bool), self.detectors)


class GateJudge:
    """Judges events under the policy in force."""

    def __init__(
        self,
        runner: Runner,
        settings: DecisionSettings,
        telemetry: Telemetry,
        policy: PolicyInForce,
        usage: Usage = no_usage,
    ) -> None:
        self.keeper = keeper = Keeper(settings.storage, settings.redaction_key_bytes, runner.finders)
        self._judge = Judge(runner, keeper, usage=usage)
        # Of its own: it must answer while the other one is busy.
        hurried = _NoTime(runner.detectors, runner.models, runner.budget_s)
        self._hurried = Judge(hurried, keeper, usage=usage)
        self._alerting = Alerting(self._judge, telemetry)
        self._telemetry = telemetry
        self._policy = policy
        self.decoder = settings.decoder

    def warm_up(self) -> None:
        """Have loaded what detectors load when they need it first: no request should wait for that."""
        warm_up(self._judge, self._policy.compiled)

    def judge(self, events: Sequence[Event]) -> list[JudgedEvent]:
        """Return the judgement of each event; blocks for as long as the detectors take."""
        judged = self._judged(self._judge, events)
        self._telemetry.progress()
        return judged

    def unjudged(self, events: Sequence[Event]) -> list[JudgedEvent]:
        """Return judgements for which every detector failed: the rules' `on_failure` decides."""
        self._telemetry.count(catalogue.GATE_UNJUDGED, len(events))
        self._hurried.runner.follow(self._judge.runner)
        return self._judged(self._hurried, events)

    def _judged(self, judge: Judge, events: Sequence[Event]) -> list[JudgedEvent]:
        parts = [event for event in events if isinstance(event, Part)]
        if parts and len(parts) < len(events):
            of_parts = iter(self._judged(judge, parts))
            others = iter(self._judged(judge, [event for event in events if not isinstance(event, Part)]))
            return [next(of_parts if isinstance(event, Part) else others) for event in events]
        judged = judge.judge(events, self._policy.compiled)
        if not parts:
            observe(judged, self._telemetry)
        raised = {each.row: each for each in judged.raised}
        return [
            JudgedEvent(
                decision=decision,
                scores=scored.scores,
                parcels=tuple(map(_parcel, TOPICS, messages(decision, scored))),
                raised=raised.get(row),
                batch=judged.batch,
                row=row,
            )
            for row, (decision, scored) in enumerate(zip(judged.decisions, judged.scored, strict=True))
        ]

    def alerts(self, judged: Sequence[JudgedEvent], *, hurried: bool) -> list[Parcel]:
        """Return the alerts of judged events; blocks while there is time for evidence."""
        raised = [each.raised for each in judged if each.raised is not None]
        return [Parcel(topics.ALERTS, *each) for each in self._alerting.alerts(raised, hurried)]

    def bare_alerts(self, judged: Sequence[JudgedEvent]) -> list[Parcel]:
        """Return the same alerts without evidence, at once and uncounted."""
        raised = [each.raised for each in judged if each.raised is not None]
        return [Parcel(topics.ALERTS, *each) for each in self._alerting.bare(raised)]

    def explain(self, judged: Sequence[JudgedEvent]) -> list[tuple[Evidence, ...]]:
        """Return the evidence for every metric of each event, without words that are redacted."""
        metrics = self._judge.runner.metrics
        return [tuple(self._judge.evidence(each.batch, each.row, metrics)) for each in judged]


def _parcel(topic: str, message: Message) -> Parcel:
    return Parcel(topic, *message)
