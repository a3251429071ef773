"""A completion that is checked while it is written: redacted before it goes out, stopped when blocked."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from detectors.privacy.tail import Tail
from schemas import codec
from schemas.events import Event
from streams.gate.answers import BLOCKING, Answer
from streams.gate.batcher import BusyError
from streams.gate.holdback import AT_ONCE
from streams.gate.judging import JudgedEvent, Part
from streams.gate.service import Service
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

ROUND: Final = 400
"""New characters from which on the detectors look at what has come, while it is written."""
CONTEXT: Final = 1_000
"""Characters before them that they are shown with these."""
_SLOW_S: Final = 0.01
"""Between two pieces: from then on each is looked at when it comes."""
_ROOM: Final = 1_024
"""Bytes of an event that are kept free for what comes with the end of the completion."""


class Ending(NamedTuple):
    """How a completion ended."""

    rest: str
    """What may still go out."""
    answer: Answer


class Stream:
    """One completion while it is written.

    What goes out, joined, is the redaction of the whole completion, or the beginning of it where the stream
    was stopped. The whole is judged and recorded once, at the end. Memory: the completion, which an event
    limits, and what is held back of it.

    Args:
        event: what is known of the completion, with no text yet.
        redact: False lets the text out as it is; it can still be stopped.
        within_s: the time that each judgement has.
        drop: whether what is held at the end is dropped where the end is not clean.

    """

    def __init__(
        self,
        service: Service,
        event: Event,
        telemetry: Telemetry,
        *,
        within_s: float,
        drop: bool,
        redact: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._event = event
        self._telemetry = telemetry
        self._within_s = within_s
        self._drop = drop
        self._redact = redact
        self._clock = clock
        self._tail: Tail = service.tail(event.conversation_id)
        self._parts: list[str] = []
        self._room = service.decoder.max_bytes - len(codec.encode(event)) - _ROOM
        self._length = 0
        self._recent = ""
        self._looked = 0.0
        self._unjudged = 0
        """How many of the last characters no round has seen."""
        self._came: deque[tuple[int, float]] = deque()
        """How much had come when, of what is held back."""
        self._looking = 0
        """How many characters the last round was begun for."""
        self.round: asyncio.Task[None] | None = None
        """The detectors look at it in this moment."""
        self.blocked: JudgedEvent | None = None
        """Why nothing more goes out."""

    def takes(self, *more: object) -> bool:
        """Return whether so much more fits into an event."""
        self._room -= sum(len(msgspec.json.encode(each)) - 2 for each in more)
        return self._room >= 0

    @property
    def is_empty(self) -> bool:
        """Whether no text has come."""
        return self._length == 0

    async def feed(self, delta: str) -> str:
        """Take what comes next; return what can go out."""
        if self.blocked:
            return ""
        self._parts.append(delta)
        self._length += len(delta)
        self._came.append((self._length, self._clock()))
        self._look(delta)
        await self._wait_for_rounds()
        if self.blocked:
            return ""
        if not self._redact:
            return delta
        if len(delta) > AT_ONCE or self._tail.held > AT_ONCE:
            out = await asyncio.to_thread(self._tail.feed, delta)
        else:
            is_slow = self._clock() - self._looked >= _SLOW_S
            out = self._tail.feed(delta, at_once=is_slow)
        self._looked = self._clock()
        self._observe()
        return "" if self.blocked else out

    async def end(self, *, clean: bool, late: dict[str, Any] | None = None) -> Ending:
        """Judge the whole, record the decision and return it with what may still go out."""
        self.close()
        event = msgspec.structs.replace(self._event, text="".join(self._parts), **(late or {}))
        try:
            judgement = await self._service.judged(event, self._within_s)
        except BusyError:
            judgement = self._service.unjudged(event)
        # A window may show more clearly what it is than the whole: what stopped the stream is the decision.
        if self.blocked and judgement.decision.action not in BLOCKING:
            judgement = self.blocked
        answer = self._service.recorded(judgement)
        dropped = not clean or not judgement.scores
        if judgement.decision.action in BLOCKING or (dropped and self._drop) or not self._redact:
            return Ending("", answer)
        return Ending(await asyncio.to_thread(self._tail.finish), answer)

    def close(self) -> None:
        """Stop looking at it."""
        if self.round:
            self.round.cancel()
            self.round = None

    def _look(self, delta: str) -> None:
        """Have the detectors look at what is new, with what stands before it, when it is enough."""
        self._unjudged += len(delta)
        self._recent = (self._recent + delta)[-(CONTEXT + max(self._unjudged, ROUND)) :]
        if self._unjudged >= ROUND and (self.round is None or self.round.done()):
            part = Part.of(self._event, self._recent[-(CONTEXT + self._unjudged) :])
            self._unjudged, self._looking = 0, self._unjudged
            self.round = asyncio.create_task(self._judge(part), name="stream-round")

    async def _wait_for_rounds(self) -> None:
        """Let the rounds catch up: of what comes in one burst all would be out before they have seen it."""
        for _ in range(2):  # the round under way, and the one for what came meanwhile
            if self.round is None or self.round.done() or self._looking + self._unjudged < 2 * ROUND:
                return
            await asyncio.wait({self.round})
            self._look("")

    async def _judge(self, part: Part) -> None:
        try:
            judgement = await self._service.judged(part, self._within_s)
        except BusyError:  # the next round, or the end, sees it too
            self._unjudged += len(part.text)
            return
        if judgement.decision.action in BLOCKING:
            self.blocked = judgement

    def _observe(self) -> None:
        settled = self._length - self._tail.held
        longest = None
        while self._came and self._came[0][0] <= settled:
            came = self._came.popleft()[1]
            longest = longest or self._clock() - came
        if longest is not None:
            self._telemetry.observe(catalogue.GATE_STREAM_DELAY_SECONDS, longest)
        self._telemetry.observe(catalogue.GATE_STREAM_HELD, self._tail.held)
