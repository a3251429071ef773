"""From signals to alerts, one for one cause, and what becomes of them. Pure: no I/O and no clock.

Signals of one app, rule and subject are one alert as long as no pause between their timestamps is longer
than quiet and cooldown together; drifts are one that overlap in time (`streams.alerts.drifts`). An alert
waits before it opens, and is named by its earliest signal: so alerts and ids are the same in whatever order
signals come that arrive within the wait.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple, Self

import msgspec

from schemas.alerts import AlertAction, AlertChange, ChangeKind
from streams.alerts import drifts
from streams.alerts.settings import AlertSettings
from streams.alerts.signals import Group, Signal
from streams.alerts.tracked import Tracked, begin, is_drift

MOST: Final = 500
"""Alerts that are open at once; what is beyond is one for each rule. As many are remembered once resolved."""
CROWDS: Final = 64
"""Of those for a rule; what is beyond these, too, is one."""
OTHERS: Final = "others"
"""The rule of that one."""
REMEMBERED: Final = 8_192
"""Ids of signals, of which a repeat counts once."""
GROWTH_MS: Final = 60_000
"""Between two changes that say that an alert stands for more."""
PATIENCE: Final = 10
"""Times the wait, after which an alert opens although more is to be read."""


class Timing(NamedTuple):
    """How long what takes, milliseconds; as in `AlertSettings`."""

    wait: int
    quiet: int
    cooldown: int
    repeat: int
    accept: int

    @classmethod
    def of(cls, settings: AlertSettings) -> Self:
        """Return those of the settings."""
        seconds = (
            settings.alert_wait_s, settings.alert_quiet_s, settings.alert_cooldown_s, settings.alert_repeat_s,
            settings.alert_accept_s,
        )  # fmt: skip
        return cls(*(round(1000 * each) for each in seconds))


class Memory(msgspec.Struct):
    """All that a life cycle remembers."""

    alerts: list[Tracked] = []
    seen: list[int] = []


class LifeCycle:
    """Keeps the alerts; what it says depends on the signals and the times that it is handed."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._alerts: list[Tracked] = []
        self._by_group: dict[Group, Tracked] = {}
        """The latest of each group; drifts are looked for in all."""
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._changes: list[AlertChange] = []

    @property
    def open(self) -> int:
        """How many alerts are not resolved."""
        return sum(not each.resolved for each in self._alerts)

    def add(self, signal: Signal, now: int) -> None:
        """Take in a signal; a repeat changes nothing."""
        if signal.part.resolved_at:
            self._end(signal, now)
        elif not self._repeats(signal.part.part_id):
            (self._add if signal.drift is None else self._add_drift)(signal, now)

    def act(self, action: AlertAction, now: int) -> bool:
        """Do what a person wants; return whether there is such an alert."""
        found = self._find(action.alert_id)
        if found is None:
            return False
        if found.resolved or self._repeats(action.action_id):
            return True
        self._publish(found, now)
        found.who, found.comment = action.who, action.comment
        if action.action == "acknowledge":
            found.acknowledged = True
            self._say(found, "acknowledged", now)
        elif action.action == "silence":
            found.silenced_until = action.until
            self._say(found, "silenced" if action.until > now else "unsilenced", now)
        else:
            self._resolve(found, "by hand", now, now)
        return True

    def tick(self, now: int, *, caught_up: bool) -> list[AlertChange]:
        """Let time pass; return the changes since the last tick, in order.

        `caught_up`: all that was published is read. Until then nothing is taken for over.
        """
        for each in list(self._alerts):
            each.not_ahead_of(now)
            if not each.opened:
                patience = self._timing.wait * (1 if caught_up else PATIENCE)
                # Nor is it waited for a time that is yet to come because a clock was set back.
                if not 0 <= now - each.created_at < patience:
                    self._publish(each, now)
            elif not each.resolved:
                self._look(each, now, caught_up)
            elif each.grown:
                self._say(each, "grew", now)
        self._forget(now)
        changes, self._changes = self._changes, []
        return changes

    def export(self) -> Memory:
        """Return what is remembered; nothing must have changed since the last tick."""
        return Memory(self._alerts, list(self._seen))

    def restore(self, memory: Memory) -> None:
        """Begin with what was exported."""
        self._alerts, self._changes = [], []
        self._by_group.clear()
        self._seen = OrderedDict.fromkeys(memory.seen)
        for each in memory.alerts:
            self._keep(each)

    def _repeats(self, name: str) -> bool:
        number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
        repeated = number in self._seen
        self._seen[number] = None
        self._seen.move_to_end(number)
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return repeated

    def _add(self, signal: Signal, now: int) -> None:
        known = self._by_group.get(signal.group)
        pause = self._timing.quiet + self._timing.cooldown
        if known is not None and not known.lasting and signal.part.timestamp > known.last_at + pause:
            if not known.resolved:
                self._resolve(known, "quiet", known.last_at + self._timing.quiet, now)
            known = None
        if known is None:
            self._begin(signal, now)
        else:
            self._join(known, signal, now)

    def _begin(self, signal: Signal, now: int) -> None:
        if len(self._alerts) >= 2 * MOST:
            self._make_room(now)
        group, count = signal.group, self.open
        if count >= MOST:
            group = Group("", group.rule)
            crowd = self._crowd(group)
            if crowd is None and count >= MOST + CROWDS:
                group = Group("", OTHERS)
                crowd = self._crowd(group)
            if crowd is not None:
                self._join(crowd, signal, now)
                return
        self._keep(begin(signal, group, now))

    def _crowd(self, group: Group) -> Tracked | None:
        drifting = (each for each in reversed(self._alerts) if is_drift(each) and each.group == group)
        return self._by_group.get(group) or next(drifting, None)

    def _make_room(self, now: int) -> None:
        """Tell at once of what is over: the alerts of history come faster than each of them waits."""
        over = [each for each in self._alerts if each.resolved]
        for each in over:
            self._publish(each, now)
        self._drop(over[: -MOST // 2])

    def _keep(self, tracked: Tracked) -> None:
        self._alerts.append(tracked)
        if not is_drift(tracked):
            self._by_group[tracked.group] = tracked

    def _join(self, tracked: Tracked, signal: Signal, now: int) -> None:
        tracked.join(signal, now)
        if tracked.resolved:
            self._reopen(tracked, now)

    def _reopen(self, tracked: Tracked, now: int) -> None:
        tracked.resolved_at, tracked.reason, tracked.acknowledged = 0, "", False
        if tracked.opened:
            self._say(tracked, "reopened", now)

    def _end(self, signal: Signal, now: int) -> None:
        """End what lasts until it is said to be over; one that began unseen is no news."""
        found = self._find(signal.part.part_id)
        for number, part in enumerate(found.parts if found else ()):
            if found is not None and part.part_id == signal.part.part_id and not part.resolved_at:
                found.end_part(number, signal.part.resolved_at)
                found.last_at = max(found.last_at, signal.part.resolved_at)
                if not found.lasting:
                    self._resolve(found, "ended", signal.part.resolved_at, now)

    def _add_drift(self, signal: Signal, now: int) -> None:
        outcome = drifts.place(signal, self._alerts, self._timing.cooldown)
        if outcome is None:
            # The end of what nobody remembers is no news.
            if signal.drift is None or not signal.drift.returns:
                self._begin(signal, now)
            return
        tracked, what = outcome
        if what == "late":
            tracked.join(signal, now)
            return
        if what == "part":
            self._join(tracked, signal, now)
            # What it takes in may be the link to more.
            while others := drifts.waiting(tracked, self._alerts):
                self._take(tracked, others)
            return
        tracked.seen_at = max(tracked.seen_at, now)
        if what == "again" and tracked.resolved:
            self._reopen(tracked, now)
        if what == "back":
            self._take(tracked, drifts.came_along(tracked, self._alerts), parts=False)

    def _take(self, tracked: Tracked, others: Iterable[Tracked], *, parts: bool = True) -> None:
        """Make alerts that nobody was told of a part of this one."""
        for other in others:
            self._alerts.remove(other)
            tracked.take(other, parts=parts)

    def _look(self, tracked: Tracked, now: int, caught_up: bool) -> None:
        limit = self._timing.accept if tracked.lasting else self._timing.quiet
        if tracked.silenced_until and now >= tracked.silenced_until:
            tracked.silenced_until = 0
            self._say(tracked, "unsilenced", now)
        if drifts.is_back(tracked) and now >= tracked.seen_at + self._timing.wait:
            # As at its beginning: what is found next may be a part that is not back.
            self._resolve(tracked, "returned", drifts.back_at(tracked), now)
        elif caught_up and now >= tracked.seen_at + limit:
            self._resolve(tracked, "accepted" if tracked.lasting else "quiet", now, now)
        elif tracked.severity != tracked.written[2]:
            tracked.acknowledged = False
            self._say(tracked, "escalated", now)
        elif tracked.state(now) == "open" and now >= tracked.told_at + self._timing.repeat:
            self._say(tracked, "still_open", now)
        elif tracked.grown and (tracked.lasting or now >= tracked.written_at + GROWTH_MS):
            self._say(tracked, "grew", now)

    def _publish(self, tracked: Tracked, now: int) -> None:
        """Open what waited; what is over by now was there all the same."""
        if tracked.opened:
            return
        resolved_at, reason = tracked.resolved_at, tracked.reason
        tracked.opened, tracked.resolved_at, tracked.reason = True, 0, ""
        self._say(tracked, "opened", now)
        if resolved_at:
            self._resolve(tracked, reason, resolved_at, now)

    def _resolve(self, tracked: Tracked, reason: str, at: int, now: int) -> None:
        tracked.resolved_at, tracked.reason, tracked.over_at = max(1, at), reason, now
        if tracked.opened:
            self._say(tracked, "resolved", now)

    def _say(self, tracked: Tracked, change: ChangeKind, now: int) -> None:
        if change not in ("grew", "silenced"):
            tracked.told_at = now
        self._changes.append(tracked.change(change, now))

    def _find(self, name: str) -> Tracked | None:
        newest = reversed(self._alerts)
        return next(
            (t for t in newest if name == t.alert_id or any(name == p.part_id for p in t.parts)), None
        )

    def _forget(self, now: int) -> None:
        pause = self._timing.quiet + self._timing.cooldown
        over = [each for each in self._alerts if each.resolved and each.opened]
        late = [each for each in over if now > each.over_at + pause]
        self._drop(late or over[:-MOST])

    def _drop(self, gone: Iterable[Tracked]) -> None:
        for each in gone:
            self._alerts.remove(each)
            if self._by_group.get(each.group) is each:
                del self._by_group[each.group]
