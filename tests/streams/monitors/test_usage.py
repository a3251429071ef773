"""Usage: what is counted is what happened, whatever is replayed, restored or forgotten."""

import random
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import pytest

from schemas.events import Event
from schemas.fields import USAGE, WINDOWS_S
from streams.monitors import snapshots, usage_table
from streams.monitors.settings import LEAST_ENTITIES
from streams.monitors.snapshots import Newest, SnapshotError
from streams.monitors.usage import STEPS, UsageMonitor
from streams.monitors.usage_table import DAY_MS, PARTS, UsageTable, entity_of
from streams.monitors.usage_view import UsageView
from streams.monitors.watched import Counted, WatchedDecision, WatchedEvent, WatchedHit, WatchedScores
from tests.streams.records import NOW_MS, FakeRecord

MINUTE = 60_000
BLOCKED = WatchedHit("block", "enforce", "injection")


def counted(
    number: int,
    at: int = NOW_MS,
    *,
    injection: float = 0.0,
    hits: tuple[WatchedHit, ...] = (),
    partition: int = 0,
    **fields: object,
) -> Counted:
    """Return the event `number` of user u, a second after it happened."""
    values = {"user": "u", "conversation_id": "c", "tenant": "t", "prompt_tokens": 10} | fields
    event = msgspec.convert({"event_id": f"e{number}", "app": "a", "kind": "prompt", **values}, WatchedEvent)
    item = WatchedScores(event, {"injection": injection}, at, WatchedDecision(rules=hits))
    return item, FakeRecord(b"", number, partition=partition, timestamp=at + 1_000)


def asked(
    view: UsageView, now: int = NOW_MS, names: Sequence[str] = USAGE, **fields: str
) -> dict[str, float]:
    """Return what a policy is told of an event."""
    values = {"user": "u", "conversation_id": "c", "tenant": "t", "app": "a"} | fields
    event = msgspec.convert({"event_id": "e", "kind": "prompt", "text": "", **values}, Event)
    return {name: float(column[0]) for name, column in view(names, [event], now).items()}


def published(*batches: Iterable[Counted], monitor: UsageMonitor | None = None) -> UsageView:
    """Return what a reader knows after these batches."""
    view, monitor = UsageView(LEAST_ENTITIES), monitor or new()
    for batch in batches:
        assert view.take([value for _, value in monitor.update(list(batch), 1)]) == 0
    return view


def new() -> UsageMonitor:
    return UsageMonitor(LEAST_ENTITIES, 0.9)


def restored(monitor: UsageMonitor) -> UsageMonitor:
    """Return another worker's, after this one's snapshot."""
    newest, other = Newest(frozenset({0, 1}), 2), new()
    for partition, key, value in monitor.changes(2):
        newest.offer(partition, key, value)
    other.restore(newest)
    assert not newest.unreadable
    return other


def test_an_event_counts_at_its_own_time_where_its_record_has_none() -> None:
    items = [counted(number, injection=1.0, hits=(BLOCKED,)) for number in range(3)]
    untimed = [(item, FakeRecord(b"", record.offset, timestamp=-1)) for item, record in items]
    names = ("user_injections_1h", "user_events_1h")
    assert asked(published(untimed), names=names) == asked(published(items), names=names)
    assert asked(published(untimed), names=names)["user_injections_1h"] == 3


@pytest.mark.parametrize("window", WINDOWS_S)
def test_a_window_holds_all_of_its_time_and_a_sixth_more_at_most(window: str) -> None:
    length = 1000 * WINDOWS_S[window]
    rng = random.Random(length)
    times = [NOW_MS - rng.randrange(2 * length) for _ in range(400)]
    rng.shuffle(times)
    view = published([counted(n, at, injection=1.0) for n, at in enumerate(times)])
    for now in (NOW_MS, NOW_MS + length // 3, NOW_MS + length):
        least = sum(at > now - length for at in times)
        most = sum(at > now - length * (PARTS + 1) // PARTS for at in times)
        assert least <= asked(view, now)[f"user_injections_{window}"] <= most


def test_it_ends_with_the_window_though_watch_says_no_more() -> None:
    view = published(counted(n, injection=0.95) for n in range(5))
    assert asked(view)["user_injections_1h"] == 5
    assert asked(view, NOW_MS + 60 * MINUTE)["user_injections_1h"] == 5
    assert asked(view, NOW_MS + 70 * MINUTE)["user_injections_1h"] == 0
    assert asked(view, NOW_MS + 70 * MINUTE)["user_injections_1d"] == 5
    assert asked(view, NOW_MS + 28 * 60 * MINUTE)["user_injections_1d"] == 0


def test_each_kind_of_entity_has_its_own_and_none_where_nobody_is_named() -> None:
    hits = (BLOCKED,)
    view = published(
        [
            counted(0, injection=1.0, cost=2.5, hits=hits),
            counted(1, user="v", injection=1.0, cost=0.5),
            counted(2, user="", conversation_id="", tenant="", injection=1.0),
        ]
    )
    mine = asked(view)
    assert [mine[f"{of}_injections_1h"] for of in ("user", "conversation", "app", "tenant")] == [1, 2, 3, 2]
    assert [mine[f"{of}_cost_1d"] for of in ("user", "conversation", "tenant")] == [2.5, 3.0, 3.0]
    assert [mine[f"user_{what}_1m"] for what in ("events", "tokens", "blocks")] == [1, 10, 1]
    nobody = asked(view, user="", tenant="", conversation_id="")
    assert np.isnan([nobody[f"{of}_events_1m"] for of in ("user", "conversation", "tenant")]).all()
    assert nobody["app_injections_1h"] == 3
    assert asked(view, tenant="other")["user_injections_1h"] == 0, "the same name means another user there"
    assert asked(view, user="w")["user_injections_1h"] == 0


def test_what_an_app_answers_is_no_doing_of_its_user() -> None:
    view = published([counted(0, hits=(BLOCKED,), kind="completion"), counted(1, hits=(BLOCKED,))])
    blocks = [asked(view)[f"{of}_blocks_1h"] for of in ("user", "conversation", "app", "tenant")]
    assert blocks == [1, 2, 2, 2]


def test_who_is_blocked_for_what_was_used_is_not_counted_as_blocked_again() -> None:
    for_usage = WatchedHit("block", "enforce", "user_injections_1h")
    shadow = WatchedHit("block", "shadow", "injection")
    view = published([counted(0, hits=(BLOCKED,)), counted(1, hits=(for_usage,)), counted(2, hits=(shadow,))])
    assert asked(view)["user_blocks_1h"] == 1


@pytest.mark.parametrize("cut", [0, 37, 150, 300])
def test_after_a_kill_it_is_as_if_nothing_had_happened(cut: int) -> None:
    events = [counted(n, NOW_MS + n, user=f"u{n % 7}", injection=n % 3 / 2, cost=0.01) for n in range(300)]
    alone, first = new(), new()
    alone.update(events, 1)
    first.update(events[:cut], 1)
    second = restored(first)
    first.update(events[cut:], 1)  # and dies before these are in a snapshot
    second.update(events[max(0, cut - 40) :], 1)  # what was not committed comes again
    assert rows(second) == rows(alone)


def rows(monitor: UsageMonitor) -> list[tuple[object, ...]]:
    table = monitor._table
    return sorted(
        (int(r["entity"]), int(r["offset"]), r["amounts"].tobytes(), r["parts"].tobytes())
        for r in table.copy(table._live())
    )


def test_what_several_partitions_hold_of_one_user_is_added() -> None:
    monitor = new()
    monitor.update([counted(n, injection=1.0, model="m") for n in range(2)], 2)
    view = published(
        [counted(n, injection=1.0) for n in range(2)],
        [counted(n, injection=1.0, partition=1) for n in range(3)],
    )
    assert asked(view)["user_injections_1h"] == 5
    batch = [counted(n // 2, injection=1.0, partition=n % 2) for n in range(6)]
    assert asked(published(batch))["user_injections_1h"] == 6


def test_a_topic_that_was_made_anew_counts_on() -> None:
    before = [counted(n, injection=1.0) for n in range(4)]
    anew = [counted(n, NOW_MS + 5, injection=1.0) for n in range(2)]
    assert asked(published(before, before, anew), NOW_MS + 5)["user_injections_1h"] == 6


def test_an_older_record_that_comes_later_changes_nothing() -> None:
    view, monitor = UsageView(LEAST_ENTITIES), new()
    early = monitor.update([counted(0, injection=1.0)], 1)
    late = monitor.update([counted(1, NOW_MS + 1, injection=1.0)], 1)
    view.take([value for _, value in (*late, *early)])
    assert asked(view)["user_injections_1h"] == 2


def test_readers_are_behind_by_less_than_a_step() -> None:
    """Or by an eighth of the last minute: for a steady user, for one in a hurry, and for the app of both."""
    rng = random.Random(1)
    view, monitor, messages, at = UsageView(LEAST_ENTITIES), new(), 0, NOW_MS
    peaks = dict.fromkeys(("user", "app"), 0.0)
    for number in range(1_000):
        at += rng.choice((5, 400))
        found = monitor.update([counted(number, at, user=rng.choice("uvvvv"), prompt_tokens=50)], 1)
        view.take([value for _, value in found])
        messages += len(found)
        known = asked(view, at)
        for of in peaks:
            row = monitor._table.find(0, [entity_of(of, counted(0)[0].event)])
            events = monitor._table.totals(np.array(row), at)[0, :, 0].tolist()
            peaks[of] = max(peaks[of], events[0])
            behind = max(
                exact - known[f"{of}_events_{window}"]
                for window, exact in zip(WINDOWS_S, events, strict=True)
            )
            assert 0 <= behind <= max(STEPS[0], peaks[of] / 8)
    assert messages < 4 * 1_000 / 8


def test_memory_is_bounded_and_who_tried_an_injection_stays() -> None:
    monitor = new()
    monitor.update([counted(0, injection=1.0)], 1)
    for start in range(1, 10_000, 1_000):
        flood = [counted(n, NOW_MS + n, user=f"made up {n}") for n in range(start, start + 1_000)]
        monitor.update(flood, 1)
        assert len(monitor) <= LEAST_ENTITIES
    again = restored(monitor)
    view = published([counted(10_000, NOW_MS + 10_000, injection=1.0)], monitor=again)
    assert asked(view)["user_injections_1h"] == 2
    assert len(again) == len(monitor)


def test_what_is_forgotten_is_gone_from_the_snapshots() -> None:
    monitor, newest = new(), Newest(frozenset({0}), 1)
    for start in range(0, 8_000, 1_000):
        flood = [counted(n, NOW_MS + n, user=f"made up {n}") for n in range(start, start + 1_000)]
        monitor.update(flood, 1)
        for partition, key, value in monitor.changes(1):
            newest.offer(partition, key, value)
        monitor.written()
    other = new()
    other.restore(newest)
    assert rows(other) == rows(monitor)


def test_who_is_idle_for_two_days_is_forgotten() -> None:
    monitor = new()
    monitor.update([counted(0, user="gone", conversation_id="gone", injection=1.0)], 1)
    monitor.written()
    for number, hours, left in ((1, 47, 6), (2, 49, 4)):
        monitor.update([counted(number, NOW_MS + hours * 60 * MINUTE)], 1)
        assert len(monitor) == left
    gone = {key for _, key, value in monitor.changes(1) if value is None}
    assert len(gone) == 2, "and so are their snapshots"
    later = UsageView(LEAST_ENTITIES)
    for at in (NOW_MS, NOW_MS + 3 * DAY_MS):
        found = new().update([counted(0, at, user=f"u{at}", injection=1.0)], 1)
        later.take([value for _, value in found])
    assert len(later) == 4


def test_a_clock_that_runs_ahead_counts_as_that_of_the_guard() -> None:
    ahead = counted(0, NOW_MS + 60 * MINUTE, injection=1.0)
    ahead[1].timestamp = NOW_MS
    view = published([ahead, counted(1, injection=1.0)])
    assert asked(view)["user_injections_1m"] == 2


def test_what_is_no_usage_is_refused() -> None:
    table = UsageTable(LEAST_ENTITIES)
    row = table.add(0, [7], np.array([NOW_MS]), np.ones((1, 5)), np.array([3]))
    good = table.copy(row)
    bad = [b"", b"\x02" + good.tobytes(), usage_table.pack(good)[:-1]]
    for name, value in (("amounts", np.nan), ("amounts", -1.0), ("active", -1), ("partition", 9)):
        wrong = good.copy()
        wrong[name] = value
        bad.append(usage_table.pack(wrong))
    for content in bad:
        with pytest.raises(SnapshotError):
            usage_table.unpack((0, content))
    view = UsageView(LEAST_ENTITIES)
    packed = [snapshots.encode(0, 1, 3, NOW_MS, content) for content in bad]
    assert view.take([None, b"junk", *packed]) == len(bad) + 2
    assert len(view) == 0
    assert usage_table.unpack((0, usage_table.pack(good))) == good


def test_times_at_the_ends_of_all_time_are_taken() -> None:
    times = (0, -5, NOW_MS - 400 * DAY_MS, 1 << 62)
    view = published([counted(n, at, injection=1.0) for n, at in enumerate(times)])
    assert asked(view)["user_injections_1d"] == 1, "the last one, whose record has the guard's time"
