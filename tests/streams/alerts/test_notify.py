"""`weir notify` as a process: alerts on Kafka in, the life cycle and messages to receivers out."""

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from schemas import codec, topics
from schemas.alerts import AlertChange
from schemas.events import Alert
from tests.harness import PATIENCE_S, Role, Weir, wait_until
from tests.streams.alerts.receivers import Receiver, receiving

# What depends on the broker is in tests/chaos/test_notify.py, for each.
pytestmark = [
    pytest.mark.timeout(4 * PATIENCE_S),
    pytest.mark.parametrize("kafka", ["embedded"], indirect=True),
]


def alerts(app: str, count: int, rule: str = "injection-block") -> list[tuple[bytes | None, bytes | None]]:
    now = int(time.time() * 1000)
    found = [
        Alert(
            alert_id=f"{app}-{rule}-{n}", source="guard", severity="high", rule=rule, title="injection 0.99",
            timestamp=now + n, app=app, decision_id="d",
        )
        for n in range(count)
    ]  # fmt: skip
    return [(app.encode(), codec.encode(each)) for each in found]


def changes(weir: Weir, app: str) -> list[AlertChange]:
    found = [codec.decode(AlertChange, record.value) for record in weir.read(topics.ALERT_STATES)]
    return [each for each in found if each.app == app]


class Stage:
    """A notify of the test's own, whose routes tell of one app."""

    def __init__(self, weir: Weir, folder: Path) -> None:
        self.weir = weir
        self.app = f"n{uuid.uuid4().hex[:12]}"
        self._folder = folder
        self._options = {
            "WEIR_GROUP_PREFIX": self.app,
            "WEIR_ALERT_WAIT_S": "0.3",
            "WEIR_ALERT_COOLDOWN_S": "600",
        }
        self._started: list[Role] = []

    def notify(self, *targets: dict[str, object], quiet_s: float = 600.0) -> Role:
        routes = [
            {"name": f"route-{n}", "match": {"app": [self.app]}, "timeout_s": 60, **target}
            for n, target in enumerate(targets)
        ]
        path = self._folder / "routes.yaml"
        path.write_text(json.dumps({"routes": routes}))  # JSON is YAML
        options = self._options | {"WEIR_ROUTES": str(path), "WEIR_ALERT_QUIET_S": str(quiet_s)}
        role = self.weir.role("notify", **options)
        self._started.append(role)
        return role.start()

    def publish(self, count: int, rule: str = "injection-block") -> None:
        self.weir.send(topics.ALERTS, alerts(self.app, count, rule))

    def act(self, *arguments: str) -> tuple[int, str]:
        return self.weir.run("alerts", *arguments)

    def stop(self) -> None:
        for role in self._started:
            role.kill()


@pytest.fixture
def stage(weir: Weir, tmp_path: Path) -> Iterator[Stage]:
    running = Stage(weir, tmp_path)
    try:
        yield running
    finally:
        running.stop()


def hook(receiver: Receiver) -> dict[str, object]:
    return {"webhook": {"url": receiver.url, "secret": "s3cret"}}


def told(receiver: Receiver) -> list[str]:
    return [json.loads(request.body)["change"] for request in receiver.requests]


def keys(receiver: Receiver) -> Sequence[str]:
    return [request.headers["Idempotency-Key"] for request in receiver.requests]


def test_from_alerts_to_receivers_and_back_from_people(stage: Stage) -> None:
    with receiving() as receiver:
        notify = stage.notify(hook(receiver))
        # What is no action stops nobody.
        stage.weir.send(topics.ALERT_ACTIONS, [(b"x", b"[]")])
        stage.publish(20)
        wait_until(lambda: told(receiver) == ["opened"], "it is told")
        first = json.loads(receiver.requests[0].body)
        assert (first["app"], first["kind"], first["state"]) == (stage.app, "policy", "open")
        alert_id = first["alert_id"]
        status, shown = stage.act("ack", alert_id, "--who", "kim", "--comment", "on it")
        assert status == 0, shown
        wait_until(lambda: changes(stage.weir, stage.app)[-1].state == "acknowledged", "it is acknowledged")
        # Others of the shared stack may be open, too.
        wait_until(lambda: notify.metric("weir_alerts_open") >= 1, "it counts as open")
        status, shown = stage.act("list", "--app", stage.app)
        assert "acknowledged" in shown
        assert "kim" in shown
        status, shown = stage.act("resolve", alert_id[:8], "--who", "kim")
        assert status == 0, shown
        wait_until(lambda: told(receiver) == ["opened", "resolved"], "it is over")
        assert keys(receiver) == [f"{alert_id}:opened:1", f"{alert_id}:resolved:1"]
        assert notify.stop() == 0
    kept = "SELECT state, who, alerts, reason FROM alert_states WHERE app = {app:String}"
    last = [("resolved", "kim", 20, "by hand")]
    wait_until(lambda: stage.weir.query(kept, app=stage.app) == last, "the current state")
    history = "SELECT change FROM alert_changes WHERE app = {app:String} ORDER BY version"
    rows = [row[0] for row in stage.weir.query(history, app=stage.app)]
    assert [each for each in rows if each != "grew"] == ["opened", "acknowledged", "resolved"]
    audit = "SELECT action, who, comment FROM alert_actions WHERE alert_id = {id:String} ORDER BY timestamp"
    done = [("acknowledge", "kim", "on it"), ("resolve", "kim", "")]
    wait_until(lambda: stage.weir.query(audit, id=alert_id) == done, "who did what")


def test_a_receiver_that_is_away_gets_it_later_from_another_worker_and_keeps_nobody_waiting(
    stage: Stage,
) -> None:
    away = Receiver()
    slack: dict[str, object]
    with receiving() as well, receiving(500, -1, 503) as moody:
        slack = {"slack": {"url": f"{moody.url}/hook"}, "timeout_s": 1}
        workers = [stage.notify(hook(well), hook(away), slack, quiet_s=3) for _ in range(2)]
        stage.publish(3)
        wait_until(lambda: "opened" in told(well), "one is told although another is away")
        owner = wait_until(lambda: [w for w in workers if "route-1" in w.get("healthz")[1]], "its health")[0]
        body = json.loads(owner.get("healthz")[1])
        assert body["degraded"] == ["route"]
        assert away.url not in body["problems"]["route"], "an address may be a key"
        wait_until(lambda: len(moody.requests) >= 4, "it is tried again after errors and a hang")
        wait_until(lambda: told(well)[-1:] == ["resolved"], "the end is told")
        owner.kill()
        away.start()
        try:
            wait_until(lambda: told(away)[-1:] == ["resolved"], "delivered once it is back")
        finally:
            away.stop()
        assert list(dict.fromkeys(told(away))) == ["opened", "resolved"], "in order"
        assert set(keys(away)) == set(keys(well))
