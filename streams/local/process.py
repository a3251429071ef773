"""A child process: started, waited for, stopped, and gone when its parent is gone."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from streams.errors import WeirError
from streams.local import tether

HOST = "127.0.0.1"
_PORTS = range(10_000, 32_768)
"""Below those that the kernel gives to connections: one could take the port before its server does."""
# Two processes begin far apart, and one hands out no port twice before a server has taken it.
_turns = itertools.count(os.getpid() * 1_009)


class LocalServiceError(WeirError):
    """An embedded server cannot run; the message says why and what to do."""


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nothing listens on now, another one at each call."""
    while port_problem(port := _PORTS[next(_turns) % len(_PORTS)]):
        pass
    return port


def require_port(port: int, name: str, setting: str) -> None:
    """Raise `LocalServiceError` naming `setting` when `port` cannot be listened on."""
    if problem := port_problem(port):
        raise LocalServiceError(
            f"{name}: port {port} on {HOST} cannot be used ({problem}). "
            f"Stop what listens there, or choose another port with {setting}."
        )


def port_problem(port: int) -> str | None:
    """Return why `port` on 127.0.0.1 cannot be listened on; None where it can."""
    with socket.socket() as probe:
        # Like the servers themselves: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return os.strerror(error.errno or 0)
    return None


class Child:
    """A server in a process of its own, its output in a log file.

    On Linux the kernel ends it with `death_signal` when the thread that called `start` ends: start it
    from a thread that lives as long as the server is needed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        death_signal: signal.Signals = signal.SIGKILL,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._death_signal = death_signal
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = False

    @property
    def pid(self) -> int:
        """Process id; the child must have been started."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None before the end."""
        return None if self._process is None else self._process.poll()

    def start(self, ready: Callable[[], bool], timeout: float = 30.0) -> None:
        """Start and block until `ready()`; `LocalServiceError` if it ends or takes over `timeout` s."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        tethered = [
            sys.executable,
            "-I",
            str(tether.__file__),
            str(os.getpid()),
            str(int(self._death_signal)),
        ]
        self._asked = False
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C on a terminal reaches the parent alone, which drains first.
            self._process = subprocess.Popen(  # noqa: S603
                [*tethered, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self._environment,
            )
        try:
            self._await(ready, time.monotonic() + timeout)
        except BaseException:
            self.stop(grace=1.0)
            raise

    def _await(self, ready: Callable[[], bool], deadline: float) -> None:
        while not ready():
            if not self.running:
                raise LocalServiceError(
                    f"{self.name} ended at its start (exit status {self.returncode}). "
                    f"Its log, {self.log}, ends with:\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise LocalServiceError(f"{self.name} did not answer in time; see its log, {self.log}.")
            time.sleep(0.02)

    def ask_to_end(self) -> None:
        """Send SIGTERM, once: a process that is ending must not be cut off by another."""
        if self._process is not None and not self._asked:
            self._asked = True
            self._process.terminate()

    def stop(self, grace: float = 10.0) -> int | None:
        """Ask it to end, kill it after `grace` seconds; return the exit status, None if never started."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self.ask_to_end()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def last_error(self) -> str:
        """Return what the process said last of why it cannot go on; empty where it said nothing."""
        errors = [line for line in self.log_tail().splitlines() if line.startswith("Error: ")]
        return errors[-1] if errors else ""

    def log_tail(self, lines: int = 15) -> str:
        """Return the last `lines` of the log; nothing where it is gone."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 64 * 1024))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
