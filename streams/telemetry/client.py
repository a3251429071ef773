"""Asks a server nearby over HTTP: without a proxy, for a bounded time, for a bounded answer."""

import contextlib
import http.client
import socket
import threading
from email.message import Message
from typing import Final, NamedTuple

MOST_BYTES: Final = 16 << 20
"""Of an answer that are read; ours are smaller."""


class Reply(NamedTuple):
    """An answer, with whatever status."""

    status: int
    headers: Message
    body: bytes


def get(address: str, path: str, within_s: float) -> Reply:
    """Return what a server answers; raises `OSError`, also for what is no HTTP, too slow or too large.

    Args:
        address: host:port.
        path: with the slash.
        within_s: for all of it: a server that sends a byte now and then would be waited for for ever.

    """
    try:
        connection = http.client.HTTPConnection(address, timeout=within_s)
    except http.client.InvalidURL as error:
        raise OSError(f"no address of a server: {error}") from error
    late = threading.Event()
    try:
        connection.connect()
        ending = threading.Timer(within_s, _end, (connection.sock, late))
        ending.start()
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            body = reply.read(MOST_BYTES)
        finally:
            ending.cancel()
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP ({type(error).__name__})") from error
    finally:
        connection.close()
    # Where its length is not said, what was read may be the beginning.
    if late.is_set() or reply.length or len(body) == MOST_BYTES:
        raise OSError("no answer in time, or not the whole of it")
    return Reply(reply.status, reply.headers, body)


def _end(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)
