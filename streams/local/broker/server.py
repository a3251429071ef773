"""The broker's connections: one request after another, as Kafka answers them."""

import asyncio
import logging
import struct
from collections import deque
from typing import Any

from streams.local.broker.answers import Answers
from streams.local.broker.apis import APIS, Code
from streams.local.broker.wire import Reader, WireError, decode, encode, read_tags

log = logging.getLogger(__name__)
TIDY_S = 1.0
"""Between two looks at what is past its time."""

REQUEST_BYTES = 100 << 20
"""A larger one is no request but, say, the start of an HTTP one: the connection is closed."""
QUEUE_BYTES = 16 << 20
PRODUCED_S = 32 << 20
"""Bytes that a connection may produce in a second, as by a quota of Kafka: from one that is faster than roles
read, what others publish would wait behind its own."""
BURST_S = 0.5
"""How much of that one that was silent has to spare."""
_SIZE = struct.Struct(">i")
_HEADER = struct.Struct(">hhih")
_API_VERSIONS, _PRODUCE = 18, 0


class Connection(asyncio.Protocol):
    """Reads requests as they come, and answers them in order; ends what it waits for with the client.

    What a client produced before it left is kept, as by Kafka: who wants no answer may leave at once.
    """

    def __init__(self, answers: Answers, connections: set["Connection"]) -> None:
        self._answers = answers
        self._connections = connections
        self._buffer = bytearray()
        self._requests: deque[bytes] = deque()
        self._queued = 0
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._paid = 0.0
        """When what was produced is within the quota, by the clock of the loop."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.add(self)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def connection_lost(self, exc: Exception | None) -> None:
        """End what waits, but for what was produced."""
        self._connections.discard(self)
        self._task.cancel()
        self._writable.set()
        self._requests = deque(each for each in self._requests if _HEADER.unpack_from(each)[0] == _PRODUCE)
        if self._requests:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def pause_writing(self) -> None:
        """Answer no more until the client has read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Take requests out of what has come."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _SIZE.size:
            (size,) = _SIZE.unpack_from(self._buffer, at)
            if not _HEADER.size <= size <= REQUEST_BYTES:
                self._transport.abort()
                return
            if len(self._buffer) - at - _SIZE.size < size:
                break
            self._requests.append(bytes(memoryview(self._buffer)[at + _SIZE.size : at + _SIZE.size + size]))
            at += _SIZE.size + size
            self._queued += size
        del self._buffer[:at]
        if self._queued > QUEUE_BYTES:
            self._transport.pause_reading()
        if self._requests:
            self._arrived.set()

    def close(self) -> None:
        """Disconnect, and forget what has come."""
        self._requests.clear()
        self._transport.abort()

    async def _run(self) -> None:
        try:
            while True:
                while self._requests:
                    request = self._requests.popleft()
                    await self._answer(request)
                    self._queued -= len(request)
                    await self._writable.wait()
                    await asyncio.sleep(0)  # one after the other, not one client before all others
                if self not in self._connections:
                    return
                self._arrived.clear()
                self._transport.resume_reading()
                await self._arrived.wait()
        except WireError as error:
            log.warning("a request that is not understood: %s", error)
        except Exception:
            log.exception("a request has failed")
        self.close()

    async def _answer(self, data: bytes) -> None:
        key, version, correlation, length = _HEADER.unpack_from(data)
        reader = Reader(data)
        reader.at = _HEADER.size
        client = reader.take(max(0, length)).decode(errors="replace")
        api = APIS.get(key)
        if key == _API_VERSIONS and api is not None and not api.low <= version <= api.high:
            # How Kafka says it: in version 0, with the versions to choose from.
            answer = await self._answers.api_versions({}, client)
            return self._write(
                correlation, encode(api.response, 0, answer | {"error": Code.UNSUPPORTED_VERSION})
            )
        if api is None or not api.low <= version <= api.high:
            raise WireError(f"request {key} in version {version}")
        compact = version >= api.compact_from
        if compact:
            read_tags(reader)
        request = decode(api.request, version, reader, compact=compact) | {"version": version}
        answer = await getattr(self._answers, api.name)(request, client)
        if key == _PRODUCE:
            await self._keep_quota(len(data))
            if request["acks"] == 0:
                return None  # nobody waits for an answer
        pieces = encode(api.response, version, answer, compact=compact)
        return self._write(correlation, [b"\0", *pieces] if compact else pieces)

    async def _keep_quota(self, size: int) -> None:
        now = asyncio.get_running_loop().time()
        self._paid = max(self._paid, now - BURST_S) + size / PRODUCED_S
        if self._paid > now:
            await asyncio.sleep(self._paid - now)

    def _write(self, correlation: int, pieces: list[bytes]) -> None:
        if self not in self._connections:
            return
        body = b"".join(pieces)
        self._transport.write(_SIZE.pack(len(body) + 4) + _SIZE.pack(correlation) + body)


async def serve(answers: Answers, host: str, port: int, stop: asyncio.Event) -> None:
    """Answer clients on a port until `stop`; `OSError` where it cannot be listened on."""
    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server: Any = await loop.create_server(lambda: Connection(answers, connections), host, port)
    tidying = loop.create_task(_tidy(answers))
    try:
        await stop.wait()
    finally:
        tidying.cancel()
        server.close()
        for connection in list(connections):
            connection.close()
        answers.close()


async def _tidy(answers: Answers) -> None:
    while True:
        await asyncio.sleep(TIDY_S)
        try:
            await answers.tidy()
        except Exception:  # or retention and compaction would end, and the disk would fill
            log.exception("what is past its time cannot be deleted")
