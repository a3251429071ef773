"""Dead letters: how they are made, and when there are too many of them."""

import hashlib
from collections import deque
from collections.abc import Iterable

from schemas import codec
from schemas.events import DeadLetter
from streams.records import Record

WINDOW = 10_000


class TooManyDeadLetters(Exception):  # noqa: N818 (reads as what happened)
    """The worker stops rather than draining its topic into the dead letters."""


def dead_letter(record: Record, reason: str, detail: str, payload_bytes: int) -> tuple[bytes, bytes]:
    """Return key and value of the dead letter of a record, with the start of its payload."""
    payload = record.value or b""
    letter = DeadLetter(
        dead_letter_id=codec.dead_letter_id(record.topic, record.partition, record.offset, record.timestamp),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        reason=reason,
        detail=detail,
        size=len(payload),
        payload_sha256=hashlib.sha256(payload).hexdigest(),
        payload=payload[:payload_bytes],
    )
    return letter.dead_letter_id.encode(), codec.encode(letter)


class DeadLetterLimit:
    """Counts dead letters and raises when a bad deploy, not a bad message, is the likely cause.

    Args:
        max_run: so many in a row are too many.
        max_ratio: a larger share of the last 10,000 messages is too many (once so many were seen).

    """

    def __init__(self, max_run: int, max_ratio: float) -> None:
        self._max_run = max_run
        self._max_ratio = max_ratio
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._bad = 0
        self._run = 0

    def check(self, accepted: Iterable[bool]) -> None:
        """Count a batch, in order; raise `TooManyDeadLetters` past a limit."""
        for good in accepted:
            if len(self._recent) == WINDOW:
                self._bad -= not self._recent[0]
            self._recent.append(good)
            self._bad += not good
            self._run = 0 if good else self._run + 1
            if self._run > self._max_run:
                raise TooManyDeadLetters(
                    f"more than {self._max_run} messages in a row cannot be decoded: is the right data in "
                    "the topic? `weir tail dlq` shows the reasons; WEIR_DLQ_MAX_RUN sets the limit"
                )
            if len(self._recent) == WINDOW and self._bad > self._max_ratio * WINDOW:
                raise TooManyDeadLetters(
                    f"more than {self._max_ratio:.0%} of the last {WINDOW:,} messages cannot be decoded: "
                    "`weir tail dlq` shows the reasons; WEIR_DLQ_MAX_RATIO sets the limit"
                )
