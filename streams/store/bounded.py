"""Connections to the store that end at a deadline: who sends a byte now and then fires no time-out."""

import contextlib
import io
import threading
import time
from collections.abc import Iterator
from typing import Any

from clickhouse_connect.driver.httputil import all_managers, check_env_proxy, get_pool_manager
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

_call = threading.local()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let what this thread asks of a store in the block end after so long in all, with a `TimeoutError`."""
    before = getattr(_call, "deadline", None)
    deadline = time.monotonic() + seconds
    _call.deadline = deadline if before is None else min(before, deadline)
    try:
        yield
    finally:
        _call.deadline = before


class _Socket:
    """A socket whose every wait ends at the deadline of the calling thread, if it has one."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._timeout: float | None = socket.gettimeout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds
        self._socket.settimeout(seconds)

    def wait(self) -> None:
        """Prepare a wait; `TimeoutError` where there is no time left for any."""
        deadline = getattr(_call, "deadline", None)
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError("the deadline of the request")
        known = [each for each in (left, self._timeout) if each is not None]
        self._socket.settimeout(min(known, default=None))

    def sendall(self, data: Any) -> None:
        self.wait()
        self._socket.sendall(data)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reading(self, self._socket.makefile("rb", buffering=0)))


class _Reading(io.RawIOBase):
    def __init__(self, socket: _Socket, raw: Any) -> None:
        self._socket = socket
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.wait()
        read: int | None = self._raw.readinto(buffer)
        return read

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Connection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _Socket(self.sock)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock = _Socket(self.sock)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def pools(scheme: str, host: str, port: int, ca_cert: str | None) -> PoolManager:
    """Return pools of such connections, through the proxy that the environment names for an address."""
    proxy: dict[str, Any] = {f"{scheme}_proxy": check_env_proxy(scheme, host, port)}
    manager: PoolManager = get_pool_manager(ca_cert=ca_cert, **proxy)
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager


def close(manager: PoolManager) -> None:
    """Close the connections; the next use opens new ones."""
    manager.clear()
    all_managers.pop(manager, None)
