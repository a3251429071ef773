"""Dead letters: how they are made, what a flood of them does, and when there are too many."""

import asyncio
import hashlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from schemas import codec, topics
from schemas.events import Alert, DeadLetter
from streams.errors import DEAD_LETTERS, WeirError
from streams.kafka.records import Producer, Record
from streams.kafka.settings import DeadLetterSettings
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry

log = structlog.get_logger(__name__)

WINDOW_MESSAGES = 10_000
APPS = 100
"""Apps that are told apart in a window: whoever invents a new one per message gets no letter for each."""
PAYLOAD_BYTES = 32 << 20
"""Payloads kept in a window; a flood of large ones must not fill the topic."""
KEY_BYTES = 8_192
"""A longer key is not kept: it is up to who publishes, and no message of ours has one."""
REPEATS = 5_000
"""Offsets that one letter holds: 60 kB of JSON, far below what the topic takes."""
HOUR_MS = 3_600_000


class TooManyDeadLetters(WeirError):  # noqa: N818 (reads as what happened)
    """The worker stops rather than draining its topic into the dead letters: it was asked to."""

    exit_code = DEAD_LETTERS


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that becomes a dead letter, and why."""

    record: Record
    reason: str
    detail: str


def dead_letter(
    refused: Refused, payload_bytes: int, app: str = "", repeats: Sequence[int] = ()
) -> DeadLetter:
    """Return the dead letter of a record, with the start of its payload.

    `repeats` are the offsets of later records of the same partition, refused for the same reason, that get
    no letter of their own.
    """
    record, payload, key = refused.record, refused.record.value or b"", refused.record.key or b""
    return DeadLetter(
        dead_letter_id=codec.dead_letter_id(record.topic, record.partition, record.offset, record.timestamp),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        reason=refused.reason,
        detail=refused.detail,
        size=len(payload),
        payload_sha256=hashlib.sha256(payload).hexdigest(),
        payload=payload[:payload_bytes],
        key=key if len(key) <= KEY_BYTES else b"",
        app=app,
        repeats=tuple(repeats),
    )


@dataclass
class LettersAndAlerts:
    """What a batch of refused records becomes."""

    letters: list[DeadLetter] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    flood: bool = False
    """Whether any of them belongs to a flood."""


class DeadLetters:
    """Makes the dead letters of one role.

    Of each reason and app the first `dlq_flood` in a window get a letter each, with the payload. More is a
    flood: then one letter stands for all of its kind in a batch and partition and holds their offsets, so
    that each message is still told, and counted once whatever is replayed. An alert is raised, and the
    role is degraded until a window passes without a flood. The stream goes on.
    """

    def __init__(
        self,
        role: str,
        settings: DeadLetterSettings,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = DeadLetterLimit(settings.dlq_max_run, settings.dlq_max_ratio)
        self._role = role
        self._flood = settings.dlq_flood
        self._window_s = settings.dlq_window_s
        self._payload_bytes = settings.dlq_payload_bytes
        self._telemetry = telemetry
        self._clock = clock
        self._ends = 0.0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._kept_bytes = 0
        self._raised: set[str] = set()
        self._calm: asyncio.TimerHandle | None = None

    async def deliver(self, producer: Producer, refused: Sequence[Refused]) -> None:
        """Send the letters of what was refused, and the alerts of a flood."""
        if not refused:
            return
        made = await asyncio.to_thread(self.letters, refused)
        await producer.send(
            topics.DEAD_LETTERS,
            [(letter.dead_letter_id.encode(), codec.encode(letter)) for letter in made.letters],
        )
        await producer.send(
            topics.ALERTS, [(alert.alert_id.encode(), codec.encode(alert)) for alert in made.alerts]
        )
        if made.flood:
            self._degrade()

    def letters(self, refused: Sequence[Refused]) -> LettersAndAlerts:
        """Return letters and alerts of a batch, in order."""
        now = self._clock()
        if now >= self._ends:
            self._ends = now + self._window_s
            self._counts.clear()
            self._kept_bytes = 0
        made = LettersAndAlerts()
        kinds: dict[tuple[str, int, str, str], list[Refused]] = {}
        for each in refused:
            self._telemetry.count(catalogue.DEAD_LETTERS, 1, each.reason)
            app = self._known(each.reason, codec.app_of(each.record.value))
            self._counts[each.reason, app] += 1
            if self._counts[each.reason, app] <= self._flood:
                made.letters.append(self._whole(each, app))
                continue
            if self._counts[each.reason, app] == self._flood + 1:
                made.alerts += self._alert(each, app)
            kind = (each.record.topic, each.record.partition, each.reason, app)
            kinds.setdefault(kind, []).append(each)
        for (*_, app), of_a_kind in kinds.items():
            made.letters += self._standing(of_a_kind, app)
        made.flood = bool(kinds)
        return made

    def _known(self, reason: str, app: str) -> str:
        """Return the app, or none where too many were seen to count each of them."""
        return app if (reason, app) in self._counts or len(self._counts) < APPS else ""

    def _whole(self, refused: Refused, app: str) -> DeadLetter:
        kept = min(self._payload_bytes, PAYLOAD_BYTES - self._kept_bytes)
        letter = dead_letter(refused, max(0, kept), app)
        self._kept_bytes += len(letter.payload)
        return letter

    def _standing(self, of_a_kind: Sequence[Refused], app: str) -> list[DeadLetter]:
        """Return a letter, without payload, for each `REPEATS` records."""
        pieces = [of_a_kind[start : start + REPEATS] for start in range(0, len(of_a_kind), REPEATS)]
        for first, *others in pieces:
            self._telemetry.count(catalogue.DEAD_LETTERS_SAMPLED, len(others), first.reason)
        return [
            dead_letter(first, 0, app, [other.record.offset for other in others]) for first, *others in pieces
        ]

    def _alert(self, refused: Refused, app: str) -> list[Alert]:
        """Return the alert of a flood, once an hour of Kafka's time per topic and reason."""
        topic, hour = refused.record.topic, refused.record.timestamp // HOUR_MS
        alert_id = codec.flood_id(topic, refused.reason, hour)
        if alert_id in self._raised:
            return []
        if len(self._raised) >= 1_000:  # hours gone by
            self._raised.clear()
        self._raised.add(alert_id)
        self._telemetry.count(catalogue.ALERTS, 1, "critical")
        log.error(
            "flood of dead letters", topic=topic, reason=refused.reason, more_than=self._flood,
            within_s=self._window_s,
        )  # fmt: skip
        return [
            Alert(
                alert_id=alert_id,
                source=self._role,
                severity="critical",
                rule="dead_letters",
                title=f"dead letters: more than {self._flood:,} messages of {topic} in {self._window_s:g} s "
                f"are {refused.reason}{f', of app {app}' if app else ''}: see `weir dlq list`",
                timestamp=hour * HOUR_MS,  # the same from every worker, as is what else makes a row
                app="",
            )
        ]

    def _degrade(self) -> None:
        """Be degraded for a window from now on."""
        self._telemetry.degrade("dead_letters")
        if self._calm is not None:
            self._calm.cancel()
        loop = asyncio.get_running_loop()
        self._calm = loop.call_later(self._window_s, self._telemetry.degrade, "dead_letters", False)


class DeadLetterLimit:
    """Counts dead letters and raises when a bad deploy, not a bad message, is the likely cause.

    Args:
        max_run: so many in a row are too many; 0: never.
        max_ratio: a larger share of the last 10,000 messages is too many (once so many were seen); 0: never.

    """

    def __init__(self, max_run: int, max_ratio: float) -> None:
        self._max_run = max_run
        self._max_ratio = max_ratio
        self._recent: deque[bool] = deque(maxlen=WINDOW_MESSAGES)
        self._bad = 0
        self._run = 0

    def check(self, accepted: Iterable[bool]) -> None:
        """Count a batch, in order; raise `TooManyDeadLetters` past a limit."""
        for good in accepted:
            if len(self._recent) == WINDOW_MESSAGES:
                self._bad -= not self._recent[0]
            self._recent.append(good)
            self._bad += not good
            self._run = 0 if good else self._run + 1
            if 0 < self._max_run < self._run:
                raise TooManyDeadLetters(
                    f"more than {self._max_run} messages in a row are refused: is the right data in "
                    "the topic? `weir dlq list` shows the reasons; WEIR_DLQ_MAX_RUN sets the limit"
                )
            if len(self._recent) == WINDOW_MESSAGES and 0 < self._max_ratio * WINDOW_MESSAGES < self._bad:
                raise TooManyDeadLetters(
                    f"more than {self._max_ratio:.0%} of the last {WINDOW_MESSAGES:,} messages are refused: "
                    "`weir dlq list` shows the reasons; WEIR_DLQ_MAX_RATIO sets the limit"
                )
