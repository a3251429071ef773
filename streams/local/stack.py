"""Everything on one machine: embedded broker and store, and all roles, supervised."""

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from streams.errors import DEAD_LETTERS, USAGE
from streams.kafka.topics import create_topics
from streams.local.broker import Broker
from streams.local.clickhouse import start_clickhouse
from streams.local.files import require_files
from streams.local.folder import DataFolder
from streams.local.ports import NeededPort, await_ports, local_port
from streams.local.process import Child, LocalServiceError
from streams.roles import PROCESSES
from streams.roles.health import address
from streams.settings import Settings
from streams.store.client import make_store
from streams.store.token import FILE_NAME, make_token
from streams.telemetry.client import get
from streams.terminal.command import counted

RESTARTS_PER_MINUTE = len(PROCESSES) + 2
LOOK_S = 1.0
"""Between two looks at the health of the roles."""
ENDING_S = 25.0
"""Beyond WEIR_DRAIN_TIMEOUT_S, until a role that was told to stop is gone."""
SLOW_S = 3.0
"""How long something that is told to stop, or to finish, is waited for before it is said."""
REFUSED = "refuses the new policy; the last good one stays in force:"
Say = Callable[[str], None]


class Stack:
    """Starts, supervises and stops the processes of `weir up`.

    Whatever dies is started again and goes on where it was: broker and store keep what they have in files.

    Args:
        settings: addresses and ports.
        directory: data and logs; made if its parent exists.
        broker: start the embedded broker; else the one of the settings is used.
        store: start the embedded store; else the one of the settings is used.
        say: shows one line to the user.

    """

    def __init__(
        self, settings: Settings, directory: Path, say: Say, *, broker: bool = True, store: bool = True
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._say = say
        self._broker: Broker | None = None
        if broker:
            log = directory / "logs" / "broker.log"
            self._broker = Broker(local_port(settings.kafka, "WEIR_KAFKA"), directory, log=log)
        self._own_store = store
        self._store: Child | None = None
        self._roles: dict[str, Child] = {}
        self._restarts: list[float] = []
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._degraded: dict[str, dict[str, str]] = {}
        self._folder = DataFolder(directory)

    def start(self, metrics: list[str]) -> None:
        """Start all and return when every role is ready; `LocalServiceError` says what to do if not."""
        self._prepare()
        if self._broker is not None:
            self._broker.start()
            self._say(f"broker    {self._settings.kafka}  ({self._broker.data})")
        if self._own_store:
            self._start_store()
            folder = self._directory / "clickhouse"
            self._say(f"store     {self._settings.clickhouse}  ({folder})")
            # The commands of weir find the token by themselves; every other client is told here.
            # Into a file, which others may read, goes only where it is.
            shown = f" {make_token(folder)} " if sys.stdout.isatty() else ""
            self._say(f"          user default, password{shown} in {folder / FILE_NAME}")
        asyncio.run(create_topics(self._settings))
        store = make_store(self._settings)
        for name in store.migrate(metrics, self._settings.events_ttl_days).restored:
            self._say(f"store     {name} was missing and is made again, empty")
        store.close()
        for name in PROCESSES:
            self._start_role(name)
        for name in PROCESSES:
            self._await_role(name)
            self._say(f"{name:9} http://{self._settings.http_host}:{self._role_port(name)}/metrics")
        self._say(f"          http://{self._settings.gate_listen}/v1/check judges what an app sends it")
        self._say(f"          http://{self._settings.desk_listen}/ is the desk: open it in a browser")
        self._folder.note()

    def run(self) -> None:
        """Supervise until `request_stop`; raise `LocalServiceError` when something cannot go on."""
        looked = 0.0
        while not self._stop.wait(0.3):
            self._folder.require()
            if time.monotonic() - looked > LOOK_S:
                looked = time.monotonic()
                self._tell_degraded()
            if self._broker is not None and not self._broker.child.running:
                self._revive("broker", self._broker.child, self._broker.start)
            if self._store is not None and not self._store.running:
                self._revive("store", self._store, self._start_store)
            for name, child in list(self._roles.items()):
                if not child.running:
                    self._revive(name, child, lambda name=name: self._start_role(name))  # type: ignore[misc]

    def request_stop(self) -> None:
        """Make `run` return; the second time, make `stop` leave what is not finished."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def stop(self) -> None:
        """Let the roles finish what was published, then stop everything; safe to call at any stage."""
        running = bool(self._roles) and all(child.running for child in self._roles.values())
        self._stop_role("gate")  # first: what it has answered goes on to Kafka
        if running and not self._folder.lost:
            left = self._drain("guard")
            self._stop_role("guard")
            left |= self._drain(*(name for name in PROCESSES if name not in ("guard", "gate")))
            if left:
                self._say(self._not_finished(left))
        for child in self._roles.values():
            child.ask_to_end()
        for name in PROCESSES:
            self._stop_role(name)
        if self._store is not None:
            self._end(self._store)
        if self._broker is not None:
            self._broker.stop()
        self._folder.release()

    def _prepare(self) -> None:
        if self._broker is not None or self._own_store:
            require_files(self._settings.partitions)
        os.environ.setdefault("WEIR_GATE_OUTBOX", str(self._directory.absolute() / "outbox"))
        self._folder.hold()
        # Longer than the roles of a `weir up` that was killed may take to finish.
        host = address(self._settings, "guard").rpartition(":")[0]
        await_ports(self._ports(), self._say, self._settings.drain_timeout_s + ENDING_S, host=host)

    def _ports(self) -> list[NeededPort]:
        ports = [NeededPort(name, self._role_port(name), f"WEIR_{name.upper()}_PORT") for name in PROCESSES]
        for name, listen in (("gate", self._settings.gate_listen), ("desk", self._settings.desk_listen)):
            ports.append(NeededPort(name, int(listen.rpartition(":")[2]), f"WEIR_{name.upper()}_LISTEN"))
        if self._own_store:
            port = local_port(self._settings.clickhouse, "WEIR_CLICKHOUSE")
            ports.insert(0, NeededPort("store", port, "WEIR_CLICKHOUSE"))
        if self._broker is not None:
            ports.insert(0, NeededPort("broker", self._broker.port, "WEIR_KAFKA"))
        return ports

    def _start_store(self) -> None:
        port = local_port(self._settings.clickhouse, "WEIR_CLICKHOUSE")
        self._store = start_clickhouse(self._directory / "clickhouse", port)

    def _start_role(self, name: str) -> None:
        command = [sys.executable, "-m", "streams", name]
        child = Child(name, command, self._directory / "logs" / f"{name}.log", death_signal=signal.SIGTERM)
        child.start(lambda: True)
        self._roles[name] = child

    def _await_role(self, name: str) -> None:
        child = self._roles[name]
        deadline = time.monotonic() + 60.0
        while self._health(name) is None:
            if not child.running:
                raise LocalServiceError(f"{name} ended at its start:\n{child.log_tail()}")
            if time.monotonic() > deadline:
                raise LocalServiceError(f"{name} did not get ready in time; see its log, {child.log}")
            time.sleep(0.05)

    def _revive(self, name: str, child: Child, start: Callable[[], None]) -> None:
        if child.returncode == DEAD_LETTERS and name in self._roles:
            del self._roles[name]
            self._say(
                f"{name} stopped, as WEIR_DLQ_MAX_RUN or WEIR_DLQ_MAX_RATIO asks: see `weir dlq list`. "
                f"The others go on; `weir {name}` starts it again"
            )
            return
        now = time.monotonic()
        self._restarts = [moment for moment in self._restarts if now - moment < 60.0] + [now]
        hopeless = child.returncode == USAGE or len(self._restarts) > RESTARTS_PER_MINUTE
        if hopeless:
            raise LocalServiceError(
                f"{name} ended (exit status {child.returncode}) and starting it again would not help. "
                f"Its log, {child.log}, ends with:\n{child.log_tail()}"
            )
        self._say(f"{name} ended (exit status {child.returncode}); starting it again")
        if problem := child.last_error():
            self._say(problem)
        start()

    def _stop_role(self, name: str) -> None:
        child = self._roles.pop(name, None)
        if child is not None:
            self._end(child, self._settings.drain_timeout_s + 20.0)

    def _end(self, child: Child, grace_s: float = 10.0) -> None:
        """Stop a process, and say when that takes long: who waits must know what for."""
        telling = threading.Timer(SLOW_S, self._say, (f"{child.name} still runs: it finishes what it has",))
        telling.start()
        try:
            child.stop(grace_s)
        finally:
            telling.cancel()

    def _drain(self, *names: str) -> dict[str, int]:
        """Wait until the roles have finished everything that is in their topics, for a bounded time.

        Return how many messages of each are not finished, where that is so.
        """
        began = time.monotonic()
        deadline, told = began + self._settings.drain_timeout_s, False
        self._hurry.wait(1.2)  # the lag is measured once a second
        while left := {name: lag for name in names if (lag := self._health(name) or 0)}:
            if time.monotonic() > deadline or self._hurry.wait(0.2):
                return left
            if not told and time.monotonic() - began > SLOW_S:
                told = True
                self._say(f"still to finish: {_messages(left)}")
        return {}

    @staticmethod
    def _not_finished(left: dict[str, int]) -> str:
        return f"not finished: {_messages(left)}; the broker keeps them for the next start"

    def _tell_degraded(self) -> None:
        """Say when a role begins to work not as it should, such as by a policy that is not the new one."""
        for name in self._roles:
            health = self._ask(name, "healthz")
            if health is None:
                continue
            before = self._degraded.get(name, {})
            now = {
                reason: health.get("problems", {}).get(reason, "") for reason in health.get("degraded", ())
            }
            for reason, problem in now.items():
                if before.get(reason) != problem:
                    what = REFUSED if reason == "policy" else f"is degraded: {reason}"
                    self._say("\n".join(filter(None, (f"{name} {what}", problem))))
            for reason in before.keys() - now.keys():
                self._say(f"{name} is no longer degraded: {reason}")
            self._degraded[name] = now

    def _health(self, name: str) -> int | None:
        """Return the lag in messages of a role that is ready; None where none is."""
        health = self._ask(name, "readyz")
        return health["lag_messages"] if health and health["ready"] else None

    def _ask(self, name: str, path: str) -> dict[str, Any] | None:
        """Return what a role says of its health; None where it does not answer."""
        try:
            reply = get(address(self._settings, name), f"/{path}", 2.0)
            return json.loads(reply.body) if reply.status == HTTPStatus.OK else None
        except (OSError, ValueError):
            return None

    def _role_port(self, name: str) -> int:
        port: int = getattr(self._settings, f"{name}_port")
        return port


def _messages(left: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {counted(lag, 'message')}" for name, lag in left.items())


def export_addresses(settings: Settings) -> None:
    """Hand the addresses down to the processes of the roles."""
    os.environ["WEIR_KAFKA"] = settings.kafka
    os.environ["WEIR_CLICKHOUSE"] = settings.clickhouse
