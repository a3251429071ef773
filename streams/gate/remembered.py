"""Answers that a repeated event gets again, instead of a second judgement."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from streams.gate.answers import Answer
from streams.gate.batcher import BusyError

MOST: Final = 10_000
MOST_CHARS: Final = 16 << 20
"""Of redacted texts: only those can be long."""
Fingerprint = tuple[str, str, bytes]


class Remembered:
    """The last answers, and those that are waited for, by what makes an event the same."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Fingerprint, asyncio.Future[Answer]] = OrderedDict()
        self._chars = 0

    def __contains__(self, key: Fingerprint) -> bool:
        return key in self._answers

    def __getitem__(self, key: Fingerprint) -> "asyncio.Future[Answer]":
        return self._answers[key]

    def reserve(self, keys: Iterable[Fingerprint]) -> "dict[Fingerprint, asyncio.Future[Answer]]":
        """Return where the answers will be; whoever reserves must settle or forget."""
        loop = asyncio.get_running_loop()
        reserved = {key: loop.create_future() for key in keys}
        self._answers |= reserved
        return reserved

    def settle(self, key: Fingerprint, answer: Answer) -> None:
        """Give the answer to all who wait for it, and remember it in place of the oldest ones."""
        self._answers[key].set_result(answer)
        self._chars += len(answer.decision.text or "")
        while len(self._answers) > MOST or self._chars > MOST_CHARS:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        """Drop the oldest one that is given."""
        key = next((key for key, future in self._answers.items() if future.done()))
        self._chars -= len(self._answers.pop(key).result().decision.text or "")

    def forget(self, keys: Iterable[Fingerprint], error: BaseException) -> None:
        """Tell those who wait why there is no answer."""
        for key in keys:
            future = self._answers.pop(key)
            if isinstance(error, asyncio.CancelledError):
                error = BusyError(1.0)  # of the request that was judged for both
            future.set_exception(error)
            future.exception()  # perhaps nobody else waits, which is no fault
