"""Volume of an app against what is usual at that hour of the week. Pure: no I/O, no clock."""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from schemas import codec
from schemas.events import Alert
from streams.kafka.records import Record
from streams.monitors import snapshots
from streams.monitors.snapshots import AppKey, Newest, SnapshotError
from streams.monitors.unwritten import Unwritten
from streams.monitors.watched import Counted, happened

HOUR_MS: Final = 3_600_000
HOURS: Final = 168
"""Of a week."""
WATCHED: Final = ("events", "cost")
LEAST: Final = (200.0, 5.0)
"""Of an hour, events and US dollars: less is never too much."""
TELLING: Final = 1 / 20
"""Of `LEAST`: hours with less say nothing of how steady an app is."""
FACTOR: Final = 4.0
"""What is usual times this is too much, or times more where the app is unsteady."""
SPREADS: Final = 6.0
"""How many times its usual (logarithmic) distance from the usual level an hour must lie above it."""
COLD_HOURS: Final = 48
"""Learned before the first alarm."""
MEMORY: Final = 1 / 4
"""Weight of the last of the same hours, once there were four."""
MOST_APPS: Final = 2_000
MOST_COST: Final = 1e9

Level = Annotated[float, Meta(ge=0, le=1e18)]
Whole = Annotated[int, Meta(ge=-1, le=2**62)]
Pair = Annotated[list[Level], Meta(min_length=2, max_length=2)]


class Usual(msgspec.Struct, array_like=True):
    """What is usual for an app, as far as one partition of `llm.scores` shows it, and the hour so far."""

    hour: Whole = -1
    """Since 1970: the one that is being counted."""
    sums: Pair = msgspec.field(default_factory=lambda: [0.0, 0.0])
    """Events and cost in it."""
    whole: bool = False
    """It was counted from its beginning."""
    levels: Annotated[list[Level], Meta(min_length=2 * HOURS, max_length=2 * HOURS)] = msgspec.field(
        default_factory=lambda: [0.0] * (2 * HOURS)
    )
    """Of events, by hour of the week; then of cost."""
    times: Annotated[list[Annotated[int, Meta(ge=0, le=100)]], Meta(min_length=HOURS, max_length=HOURS)] = (
        msgspec.field(default_factory=lambda: [0] * HOURS)
    )
    """How often each hour of the week was learned."""
    spread: Pair = msgspec.field(default_factory=lambda: [0.0, 0.0])
    """Usual distance of a logarithm from that of its level."""
    opened: str = ""
    """What the id of the open alert is made of; empty for none."""
    offset: Whole = -1
    timestamp: Whole = -1

    def seen(self, record: Record) -> bool:
        """Whether a record is in this already: it is being replayed, and not of a topic made anew."""
        return record.offset <= self.offset and record.timestamp <= self.timestamp

    def expected(self, amount: int) -> float | None:
        """Return what is usual in this hour and beside it; before a week was learned, at that time of a day.

        None while that is not known.
        """
        if sum(map(bool, self.times)) < COLD_HOURS:
            return None
        known = [slot % HOURS for slot in range(self.hour - 1, self.hour + 2) if self.times[slot % HOURS]]
        if not self.times[self.hour % HOURS]:
            near = [slot for slot in range(HOURS) if (slot - self.hour) % 24 in (23, 0, 1)]
            known += [slot for slot in near if self.times[slot]]
        return max((self.levels[amount * HOURS + slot] for slot in known), default=None)

    def limits(self) -> tuple[float, ...]:
        """Return how much is too much in this hour."""
        return tuple(self._limit(amount) for amount in range(len(WATCHED)))

    def _limit(self, amount: int) -> float:
        expected = self.expected(amount)
        if expected is None:
            return math.inf
        factor = max(FACTOR, math.exp(min(SPREADS * self.spread[amount], 50.0)))
        return max(LEAST[amount], factor * expected)

    def learn(self) -> None:
        """Take over the hour, which has ended; what was too much counts as what just was not."""
        slot = self.hour % HOURS
        weight = max(MEMORY, 1 / (self.times[slot] + 1))
        for amount, most in enumerate(self.limits()):
            value, expected, place = (
                min(self.sums[amount], most),
                self.expected(amount),
                amount * HOURS + slot,
            )
            if expected is not None and min(value, expected) > LEAST[amount] / FACTOR:
                distance = abs(math.log(value / expected))
                self.spread[amount] += (distance - self.spread[amount]) / COLD_HOURS
            place = amount * HOURS + slot
            self.levels[place] += weight * (value - self.levels[place])
        self.times[slot] = min(100, self.times[slot] + 1)


_STATES: Final = msgspec.msgpack.Decoder(Usual)


class VolumeMonitor:
    """What is usual for each app, and alerts on what is not: one while it lasts.

    It is resolved with the first usual hour.
    """

    def __init__(self) -> None:
        self._apps: OrderedDict[AppKey, Usual] = OrderedDict()
        self._limits: dict[AppKey, tuple[float, ...]] = {}
        """Of the hour that is being counted."""
        self._unwritten: Unwritten[AppKey] = Unwritten()

    def update(self, items: Iterable[Counted]) -> list[Alert]:
        """Count events, none of which was counted at another offset; return the alerts, in order."""
        alerts: list[Alert] = []
        for item, record in items:
            app = AppKey(record.partition, item.event.app)
            state = self._apps.get(app)
            if state is None:
                state = self._apps[app] = Usual()
            elif state.seen(record):
                continue
            state.offset, state.timestamp = record.offset, max(state.timestamp, record.timestamp)
            self._unwritten.change(app)
            now = happened(item, record)
            alerts += self._add(app, state, item.event.cost or 0.0, now)
        self._forget()
        return alerts

    def _add(self, app: AppKey, state: Usual, cost: float, now: int) -> Iterator[Alert]:
        hour = now // HOUR_MS
        if hour != state.hour or app not in self._limits:
            if hour < state.hour:
                return  # late: its hour is closed
            yield from self._close(app, state, hour)
        state.sums[0] += 1.0
        state.sums[1] += min(max(cost, 0.0), MOST_COST)
        for amount, most in enumerate(self._limits[app]):
            if state.sums[amount] > most and not state.opened:
                place = f"{app.partition}\0{app.app}\0{hour}".encode()
                state.opened = hashlib.blake2b(place, digest_size=16, person=b"weir.volume").hexdigest()
                yield self._alert(app, state, amount, now)

    def _close(self, app: AppKey, state: Usual, hour: int) -> Iterator[Alert]:
        """Learn the hours that have ended: those without events, too, up to a week of them."""
        self._apps.move_to_end(app)
        while -1 < state.hour < hour:
            limits = state.limits()
            if state.opened and all(found <= most for found, most in zip(state.sums, limits, strict=True)):
                yield self._resolved(app, state)
                state.opened = ""
            if state.whole:
                state.learn()
            state.sums, state.whole = [0.0, 0.0], True
            state.hour = max(state.hour + 1, hour - HOURS)
        state.hour = hour
        self._limits[app] = state.limits()

    def _forget(self) -> None:
        while len(self._apps) > MOST_APPS:
            # Names that somebody makes up have no whole hour behind them: they push out no app that is known.
            unknown = [app for app, state in self._apps.items() if not any(state.times)]
            for app in (unknown or list(self._apps))[: MOST_APPS // 16]:
                del self._apps[app]
                self._limits.pop(app, None)
                self._unwritten.forget(app, app.partition)

    def _alert(self, app: AppKey, state: Usual, amount: int, now: int) -> Alert:
        found, expected = state.sums[amount], state.expected(amount) or 0.0
        what = f"{found:,.0f} events" if WATCHED[amount] == "events" else f"{found:,.2f} dollars"
        return Alert(
            alert_id=codec.alert_id(state.opened, "volume"),
            source="watch",
            severity="medium",
            rule="volume",
            title=f"volume: {what} within the hour so far, usual are {expected:,.6g}",
            timestamp=now,
            app=app.app,
            metric=f"app_{WATCHED[amount]}_1h",
            score=found,
            open_ended=True,
        )

    def _resolved(self, app: AppKey, state: Usual) -> Alert:
        ended = (state.hour + 1) * HOUR_MS
        return Alert(
            alert_id=codec.alert_id(state.opened, "volume"),
            source="watch",
            severity="medium",
            rule="volume",
            title="volume: as usual again",
            timestamp=ended,
            app=app.app,
            open_ended=True,
            resolved_at=ended,
        )

    def changes(self, partitions: int) -> Iterator[tuple[int, bytes, bytes | None]]:
        """Return what changed since `written`: partition, key and snapshot; None if forgotten."""
        return self._unwritten.changes(lambda app: self._snapshot(app, partitions))

    def _snapshot(self, app: AppKey, partitions: int) -> tuple[int, bytes]:
        state = self._apps[app]
        content = msgspec.msgpack.encode(state)
        return app.partition, snapshots.encode(
            app.partition, partitions, state.offset, state.timestamp, content
        )

    def written(self) -> None:
        """Note that all of `changes` is durable."""
        self._unwritten.written()

    def restore(self, newest: Newest) -> None:
        """Begin with these snapshots, taking them out; one that cannot be read is left out and counted."""
        self.clear()
        for app, envelope in newest.taken(AppKey):
            assert isinstance(app, AppKey)
            try:
                self._apps[app] = _STATES.decode(snapshots.unpack(envelope))
                self._unwritten.restored(app)
            except (SnapshotError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                newest.skip(error)

    def clear(self) -> None:
        """Forget everything, for partitions that moved to another worker."""
        self._apps.clear()
        self._limits.clear()
        self._unwritten.clear()
