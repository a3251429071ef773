"""The guard's time, shared by app: while events wait, apps beyond their share are read less closely."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from detectors.batch import Depth
from detectors.excerpt import EXCERPT
from schemas import codec
from streams.decisions.pipeline import Decoded
from streams.kafka.dead_letters import Refused
from streams.kafka.records import Record

MEMORY_S = 5.0
"""How long what an app has used weighs on it: a burst is forgiven after about so many seconds."""
ACTIVE_S = 10.0
"""An app that published nothing for so long is forgotten."""
CALM_S = 2.0
"""How long it goes on once events have waited too long: what waits with the broker is seen once a second."""
STILL = 0.5
"""Once events have waited too long, so much of that is still too long: it would come and go otherwise."""
TURN_S = 0.25
"""How much of an app is judged before others that have used as little."""
MOST_APPS = 256
"""Apps that are told apart; those beyond share one account, so that inventing names gains nothing."""
OTHERS = ""
TRIMMED = 0.2
"""Of the time that all have used: the apps that used the most pay for it, down to a common level."""

BASE, PER_PAYLOAD = 200.0, 0.01
"""What an event costs beside a byte that is read: by its being there, and by each byte of its payload."""
HORIZON = 50_000.0
"""Over how much work the pace of an app is averaged: some seventy ordinary events, or three of 16 kB."""
PER_WINDOW = 14_000.0
"""What a window costs that the transformer reads: 7 ms, where a byte takes half a microsecond."""
UNKNOWN = {Depth.FULL: 8e-6, Depth.CHEAP: 1e-6, Depth.EXCERPT: 1e-6}
"""Seconds per byte for an app that is not known yet: with texts that the transformer reads in many parts."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record that waits to be judged."""

    record: Record
    app: str
    """Whose it is; empty where it does not say so."""
    decoded: Decoded | Refused
    decoding_s: float = 0.0
    """What that took."""

    @classmethod
    def of(cls, record: Record, decoded: Decoded | Refused, began: float) -> Self:
        """Return it for a record and what `Pipeline.decode` says of it, from `began` by `perf_counter` on."""
        app = decoded.event.app if isinstance(decoded, Decoded) else codec.app_of(record.value)
        return cls(record, app, decoded, time.perf_counter() - began)

    def work(self, depth: Depth) -> float:
        """Return what it costs before it is known what is in it, in bytes that are read."""
        size = len(self.record.value or b"")
        return BASE + PER_PAYLOAD * size + (min(size, EXCERPT) if depth is Depth.EXCERPT else size)


@dataclass(slots=True)
class _Account:
    spent_s: float = 0.0
    seen: float = 0.0
    pace: dict[Depth, float] = field(default_factory=UNKNOWN.copy)
    """Seconds per byte, by how closely it is read."""


class Shares:
    """What each app has used of the guard's time lately, and how closely its events are read for it.

    By app alone: who may publish may name any number of tenants and users, and would have as many shares.

    Args:
        late_s: from when events have waited here for so long, the transformer does not read those of apps
            beyond their share; if the rest would still take them to twice that, only excerpts are read.
            0: never.
        clock: seconds.

    """

    def __init__(self, late_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._late_s = late_s or math.inf
        self._clock = clock
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        """The app seen last is the last one."""
        self._late_until = -math.inf

    def ordered(self, waiting: Sequence[Waiting]) -> list[Waiting]:
        """Return the records of the apps that used the least first, counting what comes before each here.

        So that of an app that nobody knows yet a `TURN_S` goes first, and not all (start-time fair queueing:
        Goyal, Vin and Cheng 1996). The order within an app stays, and so does that of records with the same
        key: a conversation.
        """
        apps = {each.app for each in waiting}
        if len(apps) == 1:
            return list(waiting)
        now = self._clock()
        used = {app: self._spent(app, now) for app in apps}
        least, coming_s = used.copy(), dict.fromkeys(apps, 0.0)
        behind: dict[bytes, float] = {}
        ranks = []
        for each in waiting:
            app, key = each.app, each.record.key
            turns = coming_s[app] // TURN_S
            rank = max(used[app] + TURN_S * turns, least[app])
            if key is not None:
                rank = behind[key] = max(rank, behind.get(key, 0.0))
            coming_s[app] += self.expected_s(each, Depth.FULL)
            least[app] = rank
            ranks.append(rank)
        order = sorted(range(len(waiting)), key=ranks.__getitem__)
        return [waiting[place] for place in order]

    def within(self, records: Sequence[Record]) -> list[bool]:
        """Return which records are of apps that have used no more than their share."""
        apps = [codec.app_of(record.value) for record in records]
        now = self._clock()
        level = self._level(now)
        within = {app: self._spent(app, now) <= level for app in set(apps)}
        return [within[app] for app in apps]

    def depths(self, coming: Sequence[Waiting], waited_s: float) -> dict[str, Depth]:
        """Return by app how closely the events that come next are read; the oldest waited for `waited_s`."""
        apps = {each.app for each in coming}
        now = self._clock()
        if waited_s >= self._late_s * (STILL if now < self._late_until else 1):
            self._late_until = now + CALM_S
        if now >= self._late_until:
            return dict.fromkeys(apps, Depth.FULL)
        level = self._level(now)
        beyond = {app for app in apps if self._spent(app, now) > level}
        cheap_s = sum(self.expected_s(each, Depth.CHEAP) for each in coming if each.app in beyond)
        depth = Depth.CHEAP if waited_s + cheap_s < 2 * self._late_s else Depth.EXCERPT
        return {app: depth if app in beyond else Depth.FULL for app in apps}

    def expected_s(self, waiting: Waiting, depth: Depth) -> float:
        """Return how long the event will take, by what those of its app took last."""
        account = self._known(waiting.app)
        return (account.pace if account else UNKNOWN)[depth] * waiting.work(depth)

    def took(
        self, pieces: Sequence[tuple[Waiting, Depth]], windows: Mapping[str, int], seconds: float
    ) -> None:
        """Note the time of a slice, and the windows of each app that the transformer read for it."""
        work: dict[tuple[str, Depth], float] = {}
        decoding_s: dict[tuple[str, Depth], float] = {}
        for each, depth in pieces:
            work[each.app, depth] = work.get((each.app, depth), 0.0) + each.work(depth)
            decoding_s[each.app, depth] = decoding_s.get((each.app, depth), 0.0) + each.decoding_s
        costs = dict(work)
        for app, count in windows.items():
            if (app, Depth.FULL) in costs:
                costs[app, Depth.FULL] += PER_WINDOW * count
        total = sum(costs.values())
        now = self._clock()
        self._forget(now)
        for (app, depth), cost in costs.items():
            used = seconds * cost / total + decoding_s[app, depth]
            account = self._account(app)
            account.spent_s = _faded(account, now) + used
            account.seen = now
            # By work, not by slices: one text in doubt among few must not make many slices of the next poll.
            weight = 1 - math.exp(-work[app, depth] / HORIZON)
            account.pace[depth] += weight * (used / work[app, depth] - account.pace[depth])

    def _account(self, app: str) -> _Account:
        if app not in self._accounts and len(self._accounts) >= MOST_APPS:
            app = OTHERS
        account = self._accounts.setdefault(app, _Account())
        self._accounts.move_to_end(app)
        return account

    def _forget(self, now: float) -> None:
        while self._accounts and next(iter(self._accounts.values())).seen < now - ACTIVE_S:
            self._accounts.popitem(last=False)

    def _known(self, app: str) -> _Account | None:
        full = len(self._accounts) >= MOST_APPS
        return self._accounts.get(app) or (self._accounts.get(OTHERS) if full else None)

    def _spent(self, app: str, now: float) -> float:
        account = self._known(app)
        return _faded(account, now) if account else 0.0

    def _level(self, now: float) -> float:
        """Return what no app may exceed, for `TRIMMED` of what all used to fall away (max-min fairness)."""
        used = sorted((_faded(account, now) for account in self._accounts.values()), reverse=True)
        excess = TRIMMED * sum(used)
        for count, (one, less) in enumerate(zip(used, [*used, 0.0][1:], strict=True), 1):
            if excess <= count * (one - less):
                return one - excess / count
            excess -= count * (one - less)
        return 0.0


def _faded(account: _Account, now: float) -> float:
    return account.spent_s * math.exp((account.seen - now) / MEMORY_S)
