"""A client that takes little of the machine it measures on: what waits is the gate, not the client."""

import asyncio
import multiprocessing
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

PATIENCE_S: Final = 30.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END: Final = b"\r\n\r\n"


@dataclass
class Answers:
    """What the client saw: milliseconds until the answer, by whether it is one (200) or a refusal."""

    waits_ms: list[float] = field(default_factory=list)
    """From when a request was due, so that a client that falls behind hides no delay."""
    refused_ms: list[float] = field(default_factory=list)
    from_sent_ms: list[float] = field(default_factory=list)
    """Of answers and refusals, from when a request was sent: a deadline cannot begin before."""
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class _Connection(asyncio.Protocol):
    """Sends one request at a time and waits for its answer."""

    def __init__(self) -> None:
        self._got = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes) -> "asyncio.Future[int]":
        """Return the status of the answer, when it is there; `ConnectionError` where none comes."""
        assert self._transport is not None
        self._got, self._answer = b"", asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(_END)
        length = _LENGTH.search(head)
        if found and self._answer and length and len(body) >= int(length[1]) and not self._answer.done():
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())

    @property
    def usable(self) -> bool:
        """Whether it can take another request."""
        return self._transport is not None and not self._transport.is_closing()


class Client:
    """Asks one URL over as many connections as are needed at once."""

    def __init__(self, url: str, headers: str = "") -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{headers}Content-Length: "
        self._idle: list[_Connection] = []
        self.answers = Answers()

    async def ask(self, body: bytes, due: float) -> None:
        """Send a body and note what became of it."""
        sent = time.perf_counter()
        try:
            connection = await self._connection()
            request = f"{self._head}{len(body)}\r\n\r\n".encode() + body
            async with asyncio.timeout(PATIENCE_S):
                status = await connection.ask(request)
        except (OSError, TimeoutError) as error:
            self.answers.statuses[type(error).__name__] += 1
            return
        now = time.perf_counter()
        self._idle.append(connection)
        self.answers.statuses[str(status)] += 1
        waits = self.answers.waits_ms if status == 200 else self.answers.refused_ms
        waits.append(1000 * (now - due))
        self.answers.from_sent_ms.append(1000 * (now - sent))

    async def _connection(self) -> _Connection:
        while self._idle:
            if (connection := self._idle.pop()).usable:
                return connection
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(_Connection, self._host, self._port)
        return made


async def steadily(client: Client, bodies: Sequence[bytes], rate: float) -> None:
    """Ask `rate` times a second, whether answers come or not."""
    asked, began = [], time.perf_counter()
    for number, body in enumerate(bodies):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.create_task(client.ask(body, due)))
    await asyncio.gather(*asked)


async def at_once(client: Client, bodies: Sequence[bytes], connections: int) -> None:
    """Ask as fast as answers come, over so many connections."""
    waiting = iter(bodies)

    async def ask_on() -> None:
        for body in waiting:
            await client.ask(body, time.perf_counter())

    await asyncio.gather(*(ask_on() for _ in range(connections)))


async def _asked(url: str, bodies: Sequence[bytes], rate: float, connections: int, headers: str) -> Answers:
    client, began = Client(url, headers), time.perf_counter()
    await (steadily(client, bodies, rate) if rate else at_once(client, bodies, connections))
    client.answers.seconds = time.perf_counter() - began
    return client.answers


def _run(*arguments: object) -> Answers:
    return asyncio.run(_asked(*arguments))  # type: ignore[arg-type]


def asked(
    url: str, bodies: Sequence[bytes], *, rate: float = 0.0, connections: int = 64, headers: str = ""
) -> Answers:
    """Ask from a process of its own: `rate` times a second, or as fast as answers come.

    `headers` are lines of the request, each with its end.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_run, (url, bodies, rate, connections, headers))
