"""Random faults under traffic: `python -m tests.chaos.faults --broker apache --seed 0 --seeds 20`.

Each seed publishes events with a planted drift, and malformed ones, while workers, broker and store are
killed, paused, stopped and joined at random. In the end nothing is lost or doubled, and the drifts are those
of a run without faults.
One line per seed; the exit status is 1 if one failed.
"""

import argparse
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from schemas import codec, topics
from schemas.drift import DriftRecord
from schemas.events import DeadLetter, Event
from streams.local.process import Child
from streams.monitors.drift import DriftMonitor
from streams.monitors.watched import WatchedScores
from streams.roles import ROLES
from tests.brokers import KafkaBroker, new_broker
from tests.harness import Role, Weir, make_events, wait_until
from tests.malformed import malformed_payloads
from tests.streams.records import FakeRecord

APPS = 4
EVENTS = 160
"""Of each app: one conversation and one segment, so that their order is that of one partition."""
MALFORMED = 22
METRICS = ("latency_ms", "completion_tokens", "cost")
"""Fields of the events: a score is missing where a detector ran out of time, which is no fault of watch."""
SESSION_S = 3.0
"""That of `tests.harness`."""
PATIENCE_S = 90.0


class Faults:
    """What can happen to a running weir; each fault is over when its method returns."""

    def __init__(self, weir: Weir, broker: KafkaBroker, rng: random.Random) -> None:
        self._weir = weir
        self._broker = broker
        self._rng = rng

    def draw(self) -> Callable[[], str]:
        """Return a fault, not begun; every one has a chance."""
        on_roles = [self.kill, self.pause, self.stop, self.join]
        on_servers = [self.broker, self.store]
        return self._rng.choice([*on_roles, *on_roles, *on_servers])

    def _role(self) -> Role:
        return self._weir.roles[self._rng.choice(ROLES)]

    def _sleep(self, low: float, high: float) -> None:
        time.sleep(self._rng.uniform(low, high))

    def kill(self) -> str:
        """A crash; something starts the role again."""
        role = self._role()
        role.kill()
        self._sleep(0.0, 2.0)
        role.start()
        return f"kill {role.name}"

    def pause(self) -> str:
        """It stands still for longer than the session timeout, another takes over, it goes on."""
        role = self._role()
        other = self._weir.role(role.name).start()
        role.signal(signal.SIGSTOP)
        self._sleep(SESSION_S + 1, SESSION_S + 3)
        role.signal(signal.SIGCONT)
        self._sleep(0.5, 2.0)
        other.stop()
        return f"pause {role.name}"

    def stop(self) -> str:
        """A clean stop and a start, as at an upgrade."""
        role = self._role()
        assert role.stop() == 0
        role.start()
        return f"stop {role.name}"

    def join(self) -> str:
        """A second worker comes, and leaves in one way or the other."""
        role = self._weir.role(self._role().name).start()
        self._sleep(0.5, 2.0)
        how = self._rng.choice((role.kill, role.stop))
        how()
        return f"join {role.name} ({how.__name__})"

    def broker(self) -> str:
        """The broker crashes, and starts on what it had written; or it stands still."""
        if self._rng.random() < 0.5:
            self._broker.kill()
            self._sleep(0.5, 2.0)
            self._broker.start()
            return "kill broker"
        _pause(self._broker.child, self._rng.uniform(1.0, SESSION_S + 2))
        return "pause broker"

    def store(self) -> str:
        """The store crashes, or it stands still."""
        store = self._weir.store_child
        assert store is not None
        if self._rng.random() < 0.5:
            store.kill()
            self._sleep(0.5, 2.0)
            self._weir.start_store()
            return "kill store"
        _pause(store, self._rng.uniform(1.0, 4.0))
        return "pause store"


def planted(app: str, rng: random.Random) -> list[Event]:
    """Return events of one conversation whose latency and tokens rise at a moment of their own."""
    shifts = rng.randint(80, 100), rng.randint(80, 100)
    return [
        msgspec.structs.replace(
            event,
            kind="completion",
            conversation_id=app,
            latency_ms=(100.0 if i < shifts[0] else 900.0) + i % 7,
            completion_tokens=(50 if i < shifts[1] else 400) + i % 11,
            cost=0.01 + i % 5 / 1000,
        )
        for i, event in enumerate(make_events(app, EVENTS))
    ]


def undisturbed(weir: Weir, apps: list[str]) -> dict[str, DriftRecord]:
    """Return the drifts of a monitor that gets each event once, in the order of publishing."""
    first: dict[tuple[str, int], WatchedScores] = {}
    for record in weir.read(topics.SCORES):
        item = msgspec.json.decode(record.value, type=WatchedScores)
        if item.event.app in apps:
            first.setdefault((item.event.app, int(item.event.event_id.rpartition("-")[2])), item)
    settings = weir.settings
    # All metrics, for they share the false alarms.
    monitor = DriftMonitor(
        settings.watch_metrics, settings.watch_quiet_events, settings.watch_learn_values, len(apps)
    )
    drifts = [
        drift
        for offset, key in enumerate(sorted(first))
        for drift in monitor.update(first[key], FakeRecord(None, offset, topics.SCORES, timestamp=offset))
    ]
    return {drift.drift_id: drift for drift in drifts if drift.metric in METRICS}


def drifts(weir: Weir, apps: list[str]) -> dict[str, DriftRecord]:
    """Return the drifts of the fields that watch published."""
    found = [codec.decode(DriftRecord, record.value) for record in weir.read(topics.DRIFT)]
    return {drift.drift_id: drift for drift in found if drift.app in apps and drift.metric in METRICS}


def run(weir: Weir, broker: KafkaBroker, seed: int, seconds: float) -> str:
    """Run one seed; return what happened; AssertionError says what was wrong in the end."""
    rng = random.Random(seed)
    name = f"faults-{seed}-{int(time.time())}"
    apps = [f"{name}-{n}" for n in range(APPS)]
    messages = _messages(apps, name, rng)
    sending = threading.Thread(target=weir.send, args=(topics.EVENTS, messages, len(messages) / seconds))
    faults = Faults(weir, broker, rng)
    happened = []
    sending.start()
    try:
        while sending.is_alive():
            time.sleep(rng.uniform(0.2, 2.0))
            happened.append(faults.draw()())
    finally:
        sending.join()
    try:
        counts = check(weir, name, apps)
    except AssertionError as error:
        raise AssertionError(f"{error}; faults: {', '.join(happened)}") from None
    return f"{counts}; faults: {', '.join(happened)}"


def check(weir: Weir, name: str, apps: list[str]) -> str:
    """Everything is there once, and the drifts are those of the undisturbed run."""
    for app in apps:
        weir.await_rows(app, EVENTS, PATIENCE_S)
        weir.check_complete(app, EVENTS)
    letters = _letters(weir, name)
    assert len(letters) == MALFORMED, f"{len(letters)} of {MALFORMED} dead letters"
    counts = "count(), uniqExact(dead_letter_id)"
    kept = f"SELECT {counts} FROM dead_letters FINAL WHERE dead_letter_id IN {{ids:Array(String)}}"
    once = [(MALFORMED, MALFORMED)]
    wait_until(lambda: weir.query(kept, ids=list(letters)) == once, "rows of the dead letters", PATIENCE_S)
    wait_until(lambda: weir.roles["watch"].lag() == 0, "watch is done", PATIENCE_S)
    expected, found = undisturbed(weir, apps), drifts(weir, apps)
    assert len(expected) >= APPS, "the planted drift is too small"
    assert found == expected, f"drifts differ: {_differing(expected, found)}"
    repeats = sum(len(weir.decisions(app)) for app in apps) - APPS * EVENTS
    return (
        f"{APPS * EVENTS} events once ({repeats} repeats), {len(letters)} dead letters, {len(found)} drifts"
    )


def _messages(apps: list[str], name: str, rng: random.Random) -> list[tuple[bytes | None, bytes | None]]:
    """Return the events of all apps in turn, malformed ones among them."""
    streams = [planted(app, rng) for app in apps]
    messages: list[tuple[bytes | None, bytes | None]] = [
        (codec.partition_key(event), codec.encode(event))
        for events in zip(*streams, strict=True)
        for event in events
    ]
    for i, (_, payload, _) in enumerate(malformed_payloads(rng.randrange(1 << 30), MALFORMED)):
        messages.insert(rng.randint(0, len(messages)), (f"{name}-bad-{i}".encode(), payload))
    return messages


def _letters(weir: Weir, name: str) -> set[str]:
    prefix = f"{name}-bad".encode()
    bad = {(r.partition, r.offset) for r in weir.read(topics.EVENTS) if (r.key or b"").startswith(prefix)}
    letters = [codec.decode(DeadLetter, record.value) for record in weir.read(topics.DEAD_LETTERS)]
    return {
        letter.dead_letter_id
        for letter in letters
        if letter.topic == topics.EVENTS and (letter.partition, letter.offset) in bad
    }


def _differing(expected: dict[str, DriftRecord], found: dict[str, DriftRecord]) -> str:
    def brief(drifts: dict[str, DriftRecord], others: dict[str, DriftRecord]) -> list[str]:
        return sorted(
            f"{d.event_id} {d.metric} after {d.samples}" for i, d in drifts.items() if others.get(i) != d
        )

    return f"missing {brief(expected, found)}, too many {brief(found, expected)}"


def _pause(child: Child, seconds: float) -> None:
    os.kill(child.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(child.pid, signal.SIGCONT)


def main() -> int:
    """Run the seeds that the command line asks for on one stack, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.faults", description=__doc__)
    parser.add_argument("--broker", choices=("embedded", "apache"), default="embedded")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--seconds", type=float, default=25.0, help="of traffic for each")
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of each try while the broker is away
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        broker = new_broker(arguments.broker, Path(folder) / "kafka")
        broker.start()
        weir = Weir(broker.address, Path(folder))
        try:
            weir.start()
            for seed in range(arguments.seed, arguments.seed + arguments.seeds):
                failed += not _report(weir, broker, seed, arguments)
        finally:
            weir.stop()
            broker.stop()
    return int(failed > 0)


def _report(weir: Weir, broker: KafkaBroker, seed: int, arguments: argparse.Namespace) -> bool:
    begun = time.monotonic()
    try:
        outcome = f"ok: {run(weir, broker, seed, arguments.seconds)}"
    except AssertionError as error:
        outcome = f"FAILED: {error}"
    print(f"{arguments.broker} seed {seed} ({time.monotonic() - begun:.0f} s) {outcome}", flush=True)
    return outcome.startswith("ok")


if __name__ == "__main__":
    sys.exit(main())
