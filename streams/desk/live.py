"""A part of a page that is sent again while somebody looks: server-sent events."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from streams.errors import WeirError

EVERY_S: Final = 4.0
SHARE: Final = 0.1
"""Of the time, at most, is spent on making one part again: a large store is asked less often."""
MOST: Final = 64
"""Pages that are kept up to date at once."""
Make = Callable[[], Awaitable[str]]


class Live:
    """Sends parts; those of one address are made once for all who look, and not at all when nobody does."""

    def __init__(self) -> None:
        self._watching = 0
        self._made: dict[str, tuple[float, float, asyncio.Task[str]]] = {}
        self._closing = asyncio.Event()

    async def close(self, _: web.Application) -> None:
        """Let all connections end."""
        self._closing.set()

    async def serve(self, request: web.Request, name: str, make: Make) -> web.StreamResponse:
        """Answer with the part, and again when it is another, until the browser leaves."""
        if self._watching >= MOST:
            raise web.HTTPServiceUnavailable(text="Too many pages are open: load this one again later.")
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        self._watching += 1
        try:
            await self._send(response, name, make)
        except ConnectionResetError:
            pass
        finally:
            self._watching -= 1
        return response

    async def _send(self, response: web.StreamResponse, name: str, make: Make) -> None:
        sent = ""
        while not self._closing.is_set():
            try:
                part, pause = await self._part(name, make)
            except WeirError:
                part, pause = sent, EVERY_S  # the page itself says it when it is loaded
            # A comment finds out whether anybody is still there.
            await response.write(_event(part) if part != sent else b":\n\n")
            sent = part
            await self._wait(pause)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return

    async def _part(self, name: str, make: Make) -> tuple[str, float]:
        now = time.monotonic()
        self._made = {key: each for key, each in self._made.items() if now < each[0] + each[1] + EVERY_S}
        made = self._made.get(name)
        if made is None or now > made[0] + made[1] / 2:
            task = asyncio.ensure_future(make())
            self._made[name] = made = (now, EVERY_S, task)
            part = await asyncio.shield(task)
            pause = max(EVERY_S, (time.monotonic() - now) / SHARE)
            self._made[name] = (now, pause, task)
            return part, pause
        return await asyncio.shield(made[2]), made[1]


def _event(text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines() or [""])
    return f"{lines}\n".encode("utf-8", "replace")
