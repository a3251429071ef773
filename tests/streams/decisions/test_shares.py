"""Apps beyond their share of the guard's time are read less closely, and only while events wait."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.batch import Depth
from schemas import codec
from schemas.events import Event
from streams.decisions.pipeline import Decoded
from streams.decisions.shares import ACTIVE_S, CALM_S, MEMORY_S, MOST_APPS, Shares, Waiting
from streams.kafka.dead_letters import Refused
from tests.streams.records import Clock, FakeRecord, event

LATE_S = 0.5
CHEAP, EXCERPT, FULL = Depth.CHEAP, Depth.EXCERPT, Depth.FULL


def waiting(app: str, size: int = 100) -> Waiting:
    return Waiting(record := FakeRecord(bytes(size)), app, Refused(record, "", ""))


def decoded(records: Sequence[FakeRecord]) -> list[Waiting]:
    found = [Decoded(codec.decode(Event, record.value), 0, 0) for record in records]
    return [Waiting.of(record, each, 0.0) for record, each in zip(records, found, strict=True)]


def make(**used: float) -> tuple[Shares, Clock]:
    """Return shares of apps that have used so many seconds just now."""
    clock = Clock()
    shares = Shares(LATE_S, clock)
    for app, seconds in used.items():
        shares.took([(waiting(app), FULL)], {}, seconds)
    return shares, clock


def test_nobody_is_read_less_closely_while_no_event_waits() -> None:
    shares, _ = make(noisy=100.0, quiet=0.001)
    apps = [waiting("noisy"), waiting("quiet")]
    assert shares.depths(apps, LATE_S - 0.01) == {"noisy": FULL, "quiet": FULL}
    assert shares.depths(apps, LATE_S) == {"noisy": CHEAP, "quiet": FULL}
    assert shares.depths(apps, 2 * LATE_S) == {"noisy": EXCERPT, "quiet": FULL}


def test_those_that_wait_when_nobody_has_used_anything_are_read_in_full() -> None:
    """The first ones that a guard gets may have waited while they were decoded."""
    assert make()[0].depths([waiting("new")], LATE_S) == {"new": FULL}


def test_who_is_within_its_share_is_told_from_who_is_beyond_it() -> None:
    records = [FakeRecord(codec.encode(event("x", app=app))) for app in ("noisy", "quiet", "new")]
    records.append(FakeRecord(b"no event"))
    assert make(noisy=10.0, quiet=0.01)[0].within(records) == [False, True, True, True]
    assert make(noisy=10.0)[0].within(records[:1]) == [False], "also alone"
    assert make()[0].within(records) == [True] * 4


def test_it_goes_on_for_a_while_since_more_may_wait_with_the_broker() -> None:
    shares, clock = make(noisy=10.0, quiet=0.001)
    apps = [waiting("noisy"), waiting("quiet")]
    shares.depths(apps, LATE_S)
    clock.now += CALM_S - 0.1
    assert shares.depths(apps, 0.0) == {"noisy": CHEAP, "quiet": FULL}
    clock.now += 0.2
    assert shares.depths(apps, 0.0) == {"noisy": FULL, "quiet": FULL}


def test_who_waits_half_as_long_is_late_only_while_it_was() -> None:
    """Or, in a flood, texts of a megabyte were read in full now and then, each while all others waited."""
    shares, clock = make(noisy=10.0, quiet=0.001)
    apps = [waiting("noisy")]
    assert shares.depths(apps, 0.6 * LATE_S) == {"noisy": FULL}
    shares.depths(apps, LATE_S)
    for _ in range(5):
        clock.now += CALM_S - 0.1
        assert shares.depths(apps, 0.6 * LATE_S) == {"noisy": CHEAP}
    clock.now += CALM_S - 0.1
    assert shares.depths(apps, 0.4 * LATE_S) == {"noisy": CHEAP}
    clock.now += 0.2
    assert shares.depths(apps, 0.6 * LATE_S) == {"noisy": FULL}


def test_zero_means_never() -> None:
    shares = Shares(0, Clock())
    shares.took([(waiting("noisy"), FULL)], {}, 100.0)
    assert shares.depths([waiting("noisy")], 1e9) == {"noisy": FULL}


def test_what_the_cheap_tier_cannot_do_in_time_is_read_in_excerpts() -> None:
    shares, _ = make(noisy=1.0)
    few, many = [waiting("noisy", 16_000)] * 5, [waiting("noisy", 16_000)] * 400
    assert shares.depths(few, LATE_S)["noisy"] is CHEAP
    assert shares.depths(many, LATE_S)["noisy"] is EXCERPT


def test_who_used_a_moderate_part_does_not_pay_for_who_used_the_most() -> None:
    shares, _ = make(flood=7.0, heavy=2.0, **{f"small-{i}": 0.01 for i in range(9)})
    depths = shares.depths([waiting(app) for app in ("flood", "heavy", "small-0", "new")], LATE_S)
    assert depths == {"flood": CHEAP, "heavy": FULL, "small-0": FULL, "new": FULL}


def test_two_who_flood_alike_are_treated_alike_and_one_alone_pays_too() -> None:
    shares, _ = make(one=3.0, other=3.0, small=0.1)
    assert shares.depths([waiting("one"), waiting("other")], LATE_S) == {"one": CHEAP, "other": CHEAP}
    shares, _ = make(alone=3.0)
    assert shares.depths([waiting("alone")], LATE_S) == {"alone": CHEAP}


def test_what_was_used_is_forgiven() -> None:
    shares, clock = make(noisy=3.0)
    clock.now += 4 * MEMORY_S
    shares.took([(waiting("other"), FULL)], {}, 1.0)
    assert shares.depths([waiting("noisy"), waiting("other")], LATE_S) == {"noisy": FULL, "other": CHEAP}


def test_inventing_names_gains_nothing_and_costs_no_memory() -> None:
    shares, clock = make(known=0.01)
    for number in range(20_000):
        shares.took([(waiting(f"name-{number}"), FULL), (waiting("known"), FULL)], {}, 0.01)
    assert len(shares._accounts) <= MOST_APPS + 1
    depths = shares.depths([waiting("yet-another"), waiting("known", 10)], LATE_S)
    assert depths["yet-another"] is CHEAP
    clock.now += ACTIVE_S + 1
    shares.took([(waiting("back"), FULL)], {}, 0.01)
    assert list(shares._accounts) == ["back"]


def test_the_transformers_windows_are_charged_to_the_app_whose_texts_it_read() -> None:
    shares, _ = make()
    shares.took([(waiting("plain"), FULL), (waiting("doubtful"), FULL)], {"doubtful": 6, "plain": 0}, 1.0)
    depths = shares.depths([waiting("plain"), waiting("doubtful")], LATE_S)
    assert depths == {"plain": FULL, "doubtful": CHEAP}


def test_decoding_is_charged_to_the_app_whose_event_was_decoded() -> None:
    shares, _ = make()
    plain, slow = waiting("plain", 9_000), replace(waiting("slow", 100), decoding_s=0.3)
    shares.took([(plain, FULL), (slow, FULL)], {}, 0.1)
    assert shares._accounts["slow"].spent_s == pytest.approx(0.3, rel=0.05)
    assert shares._accounts["plain"].spent_s == pytest.approx(0.1, rel=0.05)


def test_the_time_of_an_event_is_expected_from_those_before_it() -> None:
    shares, _ = make()
    assert shares.expected_s(waiting("new", 16_000), FULL) > 0.1, "what is not known may be slow"
    for _ in range(12):
        shares.took([(waiting("app", 500), FULL)] * 100, {}, 0.03)
    assert shares.expected_s(waiting("app", 500), FULL) == pytest.approx(0.0003, rel=0.1)
    shares.took([(waiting("app", 500), FULL)], {"app": 6}, 0.05)
    assert shares.expected_s(waiting("app", 500), FULL) < 0.002, "one that is slow is an exception"
    shares.took([(waiting("app", 16_000), FULL)] * 4, {"app": 24}, 4 * 0.2)
    assert shares.expected_s(waiting("app", 16_000), FULL) > 0.1, "some are the rule"


names = st.sampled_from(["a", "b", "c"])
keys = st.sampled_from([None, b"k1", b"k2", b"k3"])


@given(st.lists(st.tuples(names, keys), max_size=30), st.lists(st.floats(0, 10), min_size=3, max_size=3))
def test_the_order_of_an_app_and_of_a_conversation_stays(
    sent: list[tuple[str, bytes | None]], used: list[float]
) -> None:
    shares, _ = make(**dict(zip("abc", used, strict=True)))
    records = [
        FakeRecord(codec.encode(event("x", i, app=app)), i, key=key) for i, (app, key) in enumerate(sent)
    ]
    ordered = shares.ordered(decoded(records))
    assert sorted(each.record.offset for each in ordered) == list(range(len(sent)))
    for chosen in (*"abc", b"k1", b"k2", b"k3"):
        mine = [each.record.offset for each in ordered if chosen in (each.app, each.record.key)]
        assert mine == sorted(mine)


def test_of_who_is_new_not_all_comes_first() -> None:
    shares, _ = make(quiet=0.1)
    sent = [*["new"] * 500, "quiet", *["new"] * 500]
    records = [FakeRecord(codec.encode(event("x" * 90, i, app=app)), i) for i, app in enumerate(sent)]
    ordered = shares.ordered(decoded(records))
    place = [each.app for each in ordered].index("quiet")
    before_s = sum(shares.expected_s(each, Depth.FULL) for each in ordered[:place])
    assert before_s == pytest.approx(0.25, rel=0.1)
    assert [each.record.offset for each in ordered if each.app == "new"] == [*range(500), *range(501, 1001)]


def test_what_is_refused_counts_for_the_app_that_it_names() -> None:
    for payload, app in ((b'{"app": "noisy", "event_id": 1}', "noisy"), (b"{", "")):
        record = FakeRecord(payload)
        assert Waiting.of(record, Refused(record, "", ""), 0.0).app == app


def test_who_used_less_comes_first() -> None:
    shares, _ = make(noisy=3.0, quiet=0.1)
    sent = ["noisy", "noisy", "quiet", "noisy", "new"]
    records = [FakeRecord(codec.encode(event("x", i, app=app)), i) for i, app in enumerate(sent)]
    ordered = shares.ordered(decoded(records))
    assert [each.app for each in ordered] == ["new", "quiet", "noisy", "noisy", "noisy"]
