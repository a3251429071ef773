"""Evidence has its time, and alerts do without it when that is used up."""

from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from detectors.batch import Batch, Depth
from schemas import codec
from schemas.events import Alert, Decision, Evidence, RuleHit, ScoredEvent
from streams.decisions.alerts import Alerting, Allowance
from streams.decisions.judge import Raised
from streams.telemetry.metrics import Telemetry
from tests.models import MODELS
from tests.streams.records import Clock, event

HIT = RuleHit(rule="r", severity="high", action="block", mode="enforce", metric="m", score=0.9)

FAILED = RuleHit(rule="r", severity="high", action="block", mode="enforce", failed=True)
SHADOW = RuleHit(rule="s", severity="critical", action="block", mode="shadow", metric="m", score=0.9)


class Explainer:
    """Finds a word in every text, and takes its time."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self.asked: list[int] = []

    def is_cheap(self, metric: str) -> bool:
        return metric == "cheap"

    def evidence(self, batch: Batch, row: int, metrics: set[str]) -> list[Evidence]:
        if metrics:
            self.asked.append(row)
        self.clock.now += self.seconds * ("m" in metrics)
        return [Evidence(detector="d", metric=metric, weight=1.0) for metric in sorted({*metrics, "other"})]


def raised(*hits: RuleHit) -> list[Raised]:
    batch = Batch([event("x", number) for number in range(len(hits))], MODELS)
    decision = Decision(
        decision_id="d", event_id="e", app="a", kind="prompt", verdict="block", action="block"
    )
    scored = [ScoredEvent(event=each, scores={}, decision=decision, timestamp=0) for each in batch.events]
    return [Raised(batch, row, scored[row], [hit]) for row, hit in enumerate(hits)]


def make(seconds: float) -> tuple[Alerting, Explainer]:
    clock = Clock()
    explainer: Any = Explainer(clock, seconds)
    return Alerting(explainer, Telemetry("guard"), Allowance(0.1, 0.25, clock)), explainer


def test_a_flood_goes_without_evidence_but_not_without_alerts() -> None:
    alerting, explainer = make(0.1)
    alerts = [codec.decode(Alert, value) for _, value in alerting.alerts(raised(*[HIT] * 9))]
    assert [len(alert.evidence) for alert in alerts] == [1] * 3 + [0] * 6
    assert all(item.metric == "m" for alert in alerts for item in alert.evidence)
    explainer.clock.now += 1
    assert alerting.alerts(raised(HIT))
    assert explainer.asked == [0, 1, 2, 0], "time heals"


def test_cheap_evidence_is_always_there() -> None:
    alerting, _ = make(1.0)
    cheap = msgspec.structs.replace(HIT, metric="cheap")
    messages = alerting.alerts(raised(HIT, HIT, cheap, cheap))
    alerts = [codec.decode(Alert, value) for _, value in messages]
    assert [len(alert.evidence) for alert in alerts] == [1, 0, 1, 1]
    name = "weir_alerts_unexplained_total"
    assert alerting._telemetry.registry.get_sample_value(name) == 1


def test_what_is_enforced_and_grave_is_explained_first() -> None:
    alerting, explainer = make(0.2)
    low = msgspec.structs.replace(HIT, severity="low")
    messages = alerting.alerts(raised(SHADOW, low, HIT))
    assert explainer.asked == [2, 1]
    assert [codec.decode(Alert, value).rule for _, value in messages] == ["s", "r", "r"], "in their order"


def test_a_rule_without_a_metric_needs_no_evidence() -> None:
    alerting, explainer = make(0.1)
    (message,) = alerting.alerts(raised(FAILED))
    assert "failed" in codec.decode(Alert, message[1] or b"").title
    assert not explainer.asked


def test_while_events_wait_there_is_only_cheap_evidence() -> None:
    alerting, explainer = make(0.1)
    (alert,) = [codec.decode(Alert, value) for _, value in alerting.alerts(raised(HIT), hurried=True)]
    assert alert.evidence == ()
    assert not explainer.asked


def test_what_was_not_read_in_full_is_not_explained_in_full() -> None:
    alerting, explainer = make(0.1)
    one, two, three = raised(HIT, HIT, HIT)
    one.batch.depths[:] = [Depth.CHEAP, Depth.FULL, Depth.EXCERPT]
    alerts = [codec.decode(Alert, value) for _, value in alerting.alerts([one, two, three])]
    assert [len(alert.evidence) for alert in alerts] == [0, 1, 0]
    assert explainer.asked == [1]
    assert alerting._telemetry.registry.get_sample_value("weir_alerts_unexplained_total") == 2


def test_an_alert_tells_a_lack_of_time_from_a_failure() -> None:
    alerting, _ = make(0.1)
    (each,) = raised(FAILED)
    hurried = msgspec.structs.replace(each.scored.decision, degraded=("transformer",))
    scored = msgspec.structs.replace(each.scored, decision=hurried)
    (message,) = alerting.alerts([replace(each, scored=scored)])
    assert "no time" in codec.decode(Alert, message[1] or b"").title


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 0.4)), max_size=40))
def test_no_more_than_its_share_is_spent(steps: list[tuple[float, float]]) -> None:
    clock = Clock()
    allowance = Allowance(0.1, 0.25, clock)
    spent = 0.0
    for passes, costs in steps:
        clock.now += passes
        if allowance.left():
            with allowance.spending():
                clock.now += costs
            spent += costs
        assert spent <= 0.25 + 0.1 * clock.now + 0.4
