"""A life cycle that is told what is found, and when."""

from schemas.alerts import AlertChange
from schemas.drift import DriftRecord
from schemas.events import Alert, Severity
from streams.alerts.life_cycle import LifeCycle, Timing
from streams.alerts.signals import Signal, of_alert, of_drift

S = 1_000
T0 = 1_700_000_000 * S
TIMING = Timing(wait=10 * S, quiet=900 * S, cooldown=3600 * S, repeat=14_400 * S, accept=86_400 * S)


def alert(
    number: int, at: float = 0, *, app: str = "shop", severity: Severity = "high", **more: object
) -> Signal:
    found = of_alert(
        Alert(
            alert_id=f"a{number}", source="guard", severity=severity, rule="injection-block",
            title="injection 0.99", timestamp=T0 + int(at * S), app=app, decision_id=f"d{number}", **more,  # type: ignore[arg-type]
        )
    )  # fmt: skip
    assert found is not None
    return found


def drift(
    name: str, began: float, found: float, before: float, after: float, *, metric: str = "latency_ms",
    app: str = "shop", model: str = "m", cause: str = "", returns: str = "",
) -> Signal:  # fmt: skip
    record = DriftRecord(
        drift_id=name, app=app, model=model, kind="completion", metric=metric, detector="cusum",
        timestamp=T0 + int(found * S), began_at=T0 + int(began * S), event_id=f"e-{name}",
        before=before, after=after, cause=cause, returns=returns,
    )  # fmt: skip
    return of_drift(record)


class Run:
    """A life cycle, and all that it said."""

    def __init__(self) -> None:
        self.cycle = LifeCycle(TIMING)
        self.said: list[AlertChange] = []

    def at(self, seconds: float, *signals: Signal, caught_up: bool = True) -> list[str]:
        """Return what is said at a moment, after these signals."""
        now = T0 + int(seconds * S)
        for signal in signals:
            self.cycle.add(signal, now)
        changes = self.cycle.tick(now, caught_up=caught_up)
        self.said += changes
        return [each.change for each in changes]


def nine_drifts() -> list[Signal]:
    """Two metrics of four segments and one of another app with the same model, found one after the other."""
    signals = []
    for number, version in enumerate("abcd"):
        signals.append(drift(f"l{version}", 100, 110 + number, 700, 1_300, model=version))
        signals.append(drift(f"t{version}", 101, 112 + number, 200, 390, metric="ttft_ms", model=version))
    return [*signals, drift("other", 102, 120, 700, 1_300, app="writer", model="a")]
