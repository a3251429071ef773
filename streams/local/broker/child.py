"""The embedded broker as a child process."""

import socket
import struct
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.local.process import HOST, Child, require_port

# The request by which a client learns what a broker speaks; version 0 is answered by each.
_API_VERSIONS = struct.Struct(">ihhih")
_KEY, _VERSION, _CORRELATION, _NO_CLIENT_ID = 18, 0, 1, -1


def answers(port: int, timeout: float = 1.0) -> bool:
    """Whether a Kafka broker on 127.0.0.1 answers an ApiVersions request."""
    request = _API_VERSIONS.pack(_API_VERSIONS.size - 4, _KEY, _VERSION, _CORRELATION, _NO_CLIENT_ID)
    try:
        with socket.create_connection((HOST, port), timeout) as connection:
            connection.sendall(request)
            reply = connection.recv(8, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(reply) == 8 and int.from_bytes(reply[4:], "big") == _CORRELATION


class Broker:
    """A broker on 127.0.0.1, for one machine.

    Args:
        port: what clients connect to.
        directory: topics are in its folder `broker`, and stay.
        log: its log file, by default `broker.log` in `directory`.
        create_topics: make a topic when a client asks for it.
        setting: what an error about the port points to.

    """

    def __init__(
        self,
        port: int,
        directory: Path,
        *,
        log: Path | None = None,
        create_topics: bool = False,
        setting: str = "WEIR_KAFKA",
    ) -> None:
        self.port = port
        self.address = f"{HOST}:{port}"
        self.data = directory / "broker"
        self._setting = setting
        self._command = [sys.executable, "-m", "streams.local.broker", "--data", str(self.data)]
        self._command += ["--port", str(port), *(["--create-topics"] if create_topics else [])]
        self._log = log or directory / "broker.log"
        self._child: Child | None = None

    def start(self, timeout: float = 30.0) -> None:
        """Start, again after its end, and block until it answers; `LocalServiceError` if it does not."""
        require_port(self.port, "The embedded broker", self._setting)
        self._child = Child("The embedded broker", self._command, self._log)
        self._child.start(lambda: answers(self.port), timeout)

    @property
    def child(self) -> Child:
        """The process; the broker must have been started."""
        assert self._child is not None
        return self._child

    def stop(self, grace: float = 5.0) -> int | None:
        """Stop the broker, by force after `grace` seconds; return its exit status."""
        return self._child.stop(grace) if self._child else None

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
