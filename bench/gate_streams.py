"""What the reader of a streamed completion waits for, and how much of it is held back."""

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiohttp import ClientSession, WSMsgType

from bench.texts import texts
from detectors.privacy.finders import find_all
from detectors.privacy.redaction import Redactor
from detectors.privacy.tail import Tail

PIECE: Final = 4
"""Characters that come at once: about a token."""
PIECE_S: Final = 0.02
"""Between two pieces: fifty tokens a second."""
AT_ONCE: Final = 8
"""Completions that are written at the same time."""
PATIENCE_S: Final = 60.0


@dataclass
class Streams:
    """What readers saw."""

    first_ms: list[float] = field(default_factory=list)
    """Of each completion, from when the piece was sent that let out its first characters until they came."""
    every_ms: list[float] = field(default_factory=list)
    """The same for all that came."""
    held_bytes: list[int] = field(default_factory=list)
    """After each piece."""

    @property
    def held(self) -> float:
        """Bytes that are held back, in the median."""
        return statistics.median(self.held_bytes)


def plain(count: int) -> list[str]:
    """Return ordinary completions with nothing to redact, of at least ten pieces."""
    return [text for _, text in zip(range(count), _plain(), strict=False)]


def _plain() -> Iterator[str]:
    for text in texts(11):
        if len(text) > 10 * PIECE and not find_all(text):
            yield text[:2_000]


def releases(pieces: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return which piece lets out each character, and how many bytes wait after each piece."""
    tail, letting_out, held, so_far = Tail(Redactor(b"0" * 16)), list[int](), list[int](), ""
    for number, piece in enumerate(pieces):
        so_far += piece
        # Each is looked at when it comes, as the gate does with what comes slowly.
        letting_out += [number] * len(tail.feed(piece, at_once=True))
        held.append(len(so_far[len(so_far) - tail.held :].encode()) if tail.held else 0)
    return letting_out, held


async def _read(http: ClientSession, url: str, text: str, number: int, found: Streams) -> None:
    pieces = [text[place : place + PIECE] for place in range(0, len(text), PIECE)]
    letting_out, held = releases(pieces)
    found.held_bytes += held
    sent: list[float] = []
    async with http.ws_connect(url) as socket:
        await socket.send_bytes(msgspec.json.encode({"app": "bench", "event_id": f"stream-{number}"}))
        writing = asyncio.create_task(_write(socket.send_bytes, pieces, sent))
        came = 0
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            now, delta = time.perf_counter(), msgspec.json.decode(message.data).get("delta", "")
            if delta and came < len(letting_out):
                last = letting_out[min(came + len(delta), len(letting_out)) - 1]
                waited = 1000 * (now - sent[last])
                found.every_ms.append(waited)
                if not came:
                    found.first_ms.append(waited)
            came += len(delta)
        await writing


async def _write(send: object, pieces: Sequence[str], sent: list[float]) -> None:
    assert callable(send)
    began = time.perf_counter()
    for number, piece in enumerate(pieces):
        await asyncio.sleep(max(0.0, began + number * PIECE_S - time.perf_counter()))
        sent.append(time.perf_counter())
        await send(msgspec.json.encode({"delta": piece}))
    await send(b'{"done": true}')


async def measure(url: str, count: int) -> Streams:
    """Have `count` completions pass the gate at `url`."""
    found, waiting = Streams(), iter(list(enumerate(plain(count))))

    async def reader(http: ClientSession) -> None:
        for number, text in waiting:
            async with asyncio.timeout(PATIENCE_S):
                await _read(http, url, text, number, found)

    async with ClientSession() as http:
        await asyncio.gather(*(reader(http) for _ in range(AT_ONCE)))
    return found
