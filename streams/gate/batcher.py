"""Requests judged together: what waits when the judge is free is one batch, so none waits when it is idle."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from schemas.events import Event
from streams.errors import WeirError

T = TypeVar("T")
SMOOTHING: Final = 0.1
"""How much the last batch counts in the pace, beside those before it and by its size."""
UNKNOWN_PACE: Final = 2e-6
"""Seconds per character until the first batches have told: ordinary texts on one core."""
BATCH_BYTES: Final = (16 << 10, 256 << 10)
"""Of text in one batch, at least and at most, whatever `BATCH_S` says."""
LARGE_BYTES: Final = 8 << 10
"""From which on the time of a batch is that of its texts."""
BATCH_S: Final = 0.1
"""Of judging in one batch, about: a long request must not hold up many short ones, nor they each other."""
ADMITTED: Final = 0.5
"""Of its time a request may wait, as far as can be foreseen; the rest is for what cannot. Whoever is answered
without having been judged costs time too, and under load that would make others late."""

LOOPS: Final = 3
"""How often a request waits for the event loop: before that looks at it, at its end, and for its answer."""
ANSWERING: Final = 0.2
"""Of its time, what is kept for giving the answer, at least: also while nothing was late yet."""
TOGETHER_S: Final = 0.01
"""Whose time is up within so long after another's is answered with that: one by one costs far more."""
LISTEN_S: Final = 0.02
"""Between two looks at how late the event loop is: most so while a batch is judged, not at its end."""
FORGETTING: Final = 0.95
"""What is left of that at the next look."""


class BusyError(WeirError):
    """More waits than can be judged in time. `retry_after_s`: when there will be room."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("more requests wait than can be judged in time: try again later")
        self.retry_after_s = retry_after_s


@dataclass(eq=False)
class _Waiting(Generic[T]):
    events: Sequence[Event]
    size: int
    deadline: float
    answer: "asyncio.Future[list[T]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Batcher(Generic[T]):
    """Judges events in a thread, one batch after another.

    Args:
        judge: takes events, returns one judgement each; called in a thread, one call at a time.
        unjudged: the same for events whose time is up: quick, since it runs on the event loop.
        most: events of one batch.

    """

    def __init__(
        self,
        judge: Callable[[Sequence[Event]], list[T]],
        unjudged: Callable[[Sequence[Event]], list[T]],
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._judge = judge
        self._unjudged = unjudged
        self._most = most
        self._clock = clock
        self._waiting: deque[_Waiting[T]] = deque()
        self._bytes = 0
        """Of all that waits or is being judged."""
        self._s_per_byte = UNKNOWN_PACE
        self._last_s_per_byte = 0.0
        """Of the last large batch."""
        self._judged_bytes, self._judged_s = float(BATCH_BYTES[0]), BATCH_BYTES[0] * UNKNOWN_PACE
        self._began, self._predicted_s = 0.0, 0.0
        """Of the batch that is being judged."""
        self._open: set[_Waiting[T]] = set()
        self._more = asyncio.Event()
        self._late = 0.0
        """How late the event loop came to its work lately, in seconds."""

    @property
    def waiting(self) -> int:
        """Requests that wait to be judged."""
        return len(self._waiting)

    @property
    def waits_s(self) -> float:
        """How long a request that comes now will wait, as far as the last ones tell.

        It waits for the event loop, too: until that looks at it, and until that sends its answer.
        """
        return self._bytes * self._s_per_byte + LOOPS * self._late + self._behind_s

    @property
    def _behind_s(self) -> float:
        """How much longer than foreseen the batch that is being judged has taken until now."""
        is_idle = self._predicted_s == 0.0
        return 0.0 if is_idle else max(0.0, self._clock() - self._began - self._predicted_s)

    def admit(self, within_s: float, size: int = 0) -> None:
        """Raise `BusyError` when it is clear at once that the time will not do for `size` more characters."""
        if self._bytes and self.waits_s + size * self._s_per_byte > within_s * ADMITTED:
            raise BusyError(self.waits_s)

    async def judged(self, events: Sequence[Event], within_s: float) -> list[T]:
        """Return the judgements of a request, or after `within_s` those that say that there was no time.

        Raises `BusyError` when it is clear at once that the time will not do.
        """
        size = sum(_size(event) for event in events)
        self.admit(within_s, size)
        within_s -= min(max(LOOPS * self._late, within_s * ANSWERING), within_s * (1 - ADMITTED))
        waiting: _Waiting[T] = _Waiting(events, size, self._clock() + within_s)
        self._waiting.append(waiting)
        self._open.add(waiting)
        self._bytes += size
        self._more.set()
        try:
            await asyncio.wait((waiting.answer,), timeout=within_s)
            if not waiting.answer.done():
                self._give_up(waiting)
            return waiting.answer.result()
        finally:
            # Whoever was not taken yet is not judged for nobody: also where the client has gone.
            waiting.answer.cancel()
            self._open.discard(waiting)

    def _give_up(self, first: _Waiting[T]) -> None:
        """Answer `first`, whose time is up, and all whose time is up by now or in a moment."""
        now = self._clock()
        self._late = max(self._late, now - first.deadline)
        others = (each for each in self._open if each.deadline <= now + TOGETHER_S and each is not first)
        due = [first, *(each for each in others if not each.answer.done())]
        _answer(due, self._unjudged([event for each in due for event in each.events]))

    async def run(self) -> None:
        """Judge what comes, for ever; an error of the judge ends it and every request that waits."""
        # Of its own: it must not wait for what others have done in threads.
        thread = ThreadPoolExecutor(1, "judge")
        listening = asyncio.create_task(self._listen(), name="batcher-listening")
        try:
            await self._run(thread)
        finally:
            listening.cancel()
            thread.shutdown(wait=False)

    async def _listen(self) -> None:
        """Note how late the event loop comes to what is due, as long as there is work, for ever."""
        while True:
            await self._more.wait()
            began = self._clock()
            await asyncio.sleep(LISTEN_S)
            self._late = max(self._clock() - began - LISTEN_S, self._late * FORGETTING)

    async def _run(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._waiting:
                self._more.clear()
                await self._more.wait()
            batch = self._take()
            if not batch:
                continue
            events = [event for waiting in batch for event in waiting.events]
            size = sum(waiting.size for waiting in batch)
            self._began, self._predicted_s = self._clock(), size * self._s_per_byte
            try:
                found, ended = await loop.run_in_executor(thread, self._timed, events)
            finally:
                self._bytes -= size
                self._predicted_s = 0.0
            self._keep_pace(size, self._clock() - self._began)
            self._late = max(self._clock() - ended, self._late)
            _answer(batch, found)

    def _timed(self, events: Sequence[Event]) -> tuple[list[T], float]:
        return self._judge(events), self._clock()

    def _keep_pace(self, size: int, seconds: float) -> None:
        """Learn from a batch; a small one, most of whose time is not its size, tells little of large ones."""
        self._judged_bytes += size - SMOOTHING * self._judged_bytes
        self._judged_s += seconds - SMOOTHING * self._judged_s
        if size >= LARGE_BYTES:
            self._last_s_per_byte = seconds / size
        # A machine that has become slower is slower with the next batch, not in the average of ten.
        self._s_per_byte = max(self._judged_s / self._judged_bytes, self._last_s_per_byte)

    def _take(self) -> list[_Waiting[T]]:
        """Take what fits into one batch and is still waited for; the first one in any case."""
        batch: list[_Waiting[T]] = []
        count = size = 0
        least, most = BATCH_BYTES
        most = min(most, max(least, round(BATCH_S / self._s_per_byte)))
        while self._waiting:
            first = self._waiting[0]
            if not first.answer.done():
                count, size = count + len(first.events), size + first.size
                if batch and (count > self._most or size > most):
                    break
                batch.append(first)
            else:
                self._bytes -= first.size
            self._waiting.popleft()
        return batch


def _answer(asked: Sequence[_Waiting[T]], found: list[T]) -> None:
    """Give each what was found for its events; who has an answer, or has gone, keeps to that."""
    for waiting in asked:
        own, found = found[: len(waiting.events)], found[len(waiting.events) :]
        if not waiting.answer.done():
            waiting.answer.set_result(own)


def _size(event: Event) -> int:
    """Return about how much there is to read, in characters; never 0."""
    parts = (event.text, event.prompt, event.system_prompt, *event.contexts)
    calls = sum(len(call.arguments) for call in event.tool_calls)
    return 200 + calls + sum(len(part) for part in parts)
