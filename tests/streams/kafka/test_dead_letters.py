"""Dead letters say what and where, no more than allowed; a flood is counted, sampled and told."""

import asyncio
import hashlib
import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec, topics
from schemas.events import Alert, DeadLetter
from streams.kafka import dead_letters
from streams.kafka.dead_letters import (
    APPS,
    KEY_BYTES,
    WINDOW_MESSAGES,
    DeadLetterLimit,
    DeadLetters,
    Refused,
    TooManyDeadLetters,
    dead_letter,
)
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry
from tests.streams.records import NOW_MS, Clock, FakeProducer, FakeRecord

HOUR_MS = 3_600_000


def test_a_dead_letter_points_to_its_record() -> None:
    record = FakeRecord(b"x" * 100, offset=7, partition=3, key=b"\xff")
    letter = dead_letter(Refused(record, "empty", "why"), 10)
    assert (letter.topic, letter.partition, letter.offset, letter.key) == (record.topic, 3, 7, b"\xff")
    assert (letter.payload, letter.size) == (b"x" * 10, 100)
    assert letter.payload_sha256 == hashlib.sha256(b"x" * 100).hexdigest()
    assert dead_letter(Refused(record, "empty", "why"), 10) == letter, "the same at a replay"
    assert codec.decode(DeadLetter, codec.encode(letter)) == letter


def test_a_record_without_value_is_a_letter_too() -> None:
    letter = dead_letter(Refused(FakeRecord(None), "null_value", ""), 10)
    assert (letter.size, letter.payload) == (0, b"")


def test_a_key_that_no_message_of_weir_has_is_not_kept() -> None:
    kept = [b"", b"k" * KEY_BYTES]
    records = [FakeRecord(b"x", key=key) for key in (*kept, b"k" * (KEY_BYTES + 1), b"k" * 2_000_000)]
    assert [dead_letter(Refused(r, "empty", "why"), 10).key for r in records] == [*kept, b"", b""]


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry("guard", clock=Clock())


def making(telemetry: Telemetry, clock: Clock, **settings: Any) -> DeadLetters:
    settings = {"dlq_flood": 10, "dlq_window_s": 60, **settings}
    return DeadLetters("guard", Settings(_env_file=None, **settings), telemetry, clock)


def refused(offset: int, app: str = "shop", reason: str = "invalid_json", partition: int = 0) -> Refused:
    return Refused(FakeRecord(b'{"app": "%s"}' % app.encode(), offset, partition=partition), reason, "why")


def told(letters: list[DeadLetter]) -> Counter[tuple[str, int, int]]:
    """Return how often each message is spoken of."""
    return Counter((x.reason, x.partition, at) for x in letters for at in (x.offset, *x.repeats))


def test_the_ordinary_ones_have_a_letter_each(telemetry: Telemetry) -> None:
    made = making(telemetry, Clock()).letters([refused(offset) for offset in range(10)])
    assert [(x.offset, x.app, x.repeats) for x in made.letters] == [(i, "shop", ()) for i in range(10)]
    assert all(x.payload for x in made.letters)
    assert not made.alerts
    assert not made.flood


def test_a_flood_is_sampled_and_every_message_is_told_once(telemetry: Telemetry) -> None:
    making_letters = making(telemetry, Clock())
    batches = [[refused(start + i, partition=i % 2) for i in range(500)] for start in range(0, 6_000, 500)]
    made = [making_letters.letters(batch) for batch in batches]
    letters = [letter for each in made for letter in each.letters]
    assert len(letters) == 10 + 2 * 12
    assert told(letters) == Counter(("invalid_json", i % 2, i) for i in range(6_000))
    [alert] = [alert for each in made for alert in each.alerts]
    assert (alert.source, alert.severity, alert.rule) == ("guard", "critical", "dead_letters")
    assert "llm.events" in alert.title
    assert "invalid_json" in alert.title
    assert "shop" in alert.title
    sampled = telemetry.registry.get_sample_value(
        "weir_dead_letters_sampled_total", {"reason": "invalid_json"}
    )
    everything = telemetry.registry.get_sample_value("weir_dead_letters_total", {"reason": "invalid_json"})
    assert (sampled, everything) == (6_000 - len(letters), 6_000)


@given(st.data())
def test_a_crash_in_a_flood_changes_no_count(data: st.DataObject) -> None:
    """After a kill the records since the last commit are read again, in other batches, by a new worker."""
    total = 120
    cuts = sorted(data.draw(st.sets(st.integers(1, total - 1), max_size=6)))
    bounds = [*itertools.pairwise([0, *cuts, total])]
    kept: dict[str, DeadLetter] = {}
    for first in (True, False):
        worker = making(Telemetry("guard"), Clock())
        committed = data.draw(st.sampled_from([0, *cuts])) if first is False else 0
        again = sorted({committed, *data.draw(st.sets(st.integers(committed, total - 1))), total})
        for start, end in bounds if first else itertools.pairwise(again):
            for letter in worker.letters([refused(i) for i in range(start, end)]).letters:
                kept[letter.dead_letter_id] = letter
    assert set(told(list(kept.values()))) == {("invalid_json", 0, i) for i in range(total)}


def test_one_apps_flood_takes_no_letter_from_another(telemetry: Telemetry) -> None:
    made = making(telemetry, Clock()).letters(
        [*(refused(i) for i in range(100)), refused(100, "other"), refused(101, reason="empty")]
    )
    assert [x.offset for x in made.letters if x.payload] == [*range(10), 100, 101]


def test_an_app_per_message_is_a_flood_all_the_same(telemetry: Telemetry) -> None:
    made = making(telemetry, Clock()).letters([refused(i, f"app-{i}") for i in range(5_000)])
    assert len(made.letters) == APPS + 10 + 1
    assert len(told(made.letters)) == 5_000
    assert len(made.alerts) == 1


def test_a_window_later_there_are_letters_again(telemetry: Telemetry) -> None:
    clock = Clock()
    making_letters = making(telemetry, clock)
    assert making_letters.letters([refused(i) for i in range(20)]).flood
    clock.now = 60.0
    made = making_letters.letters([refused(i) for i in range(20, 30)])
    assert (len(made.letters), made.flood) == (10, False)


def test_the_alert_is_the_same_from_every_worker_and_once_an_hour(telemetry: Telemetry) -> None:
    batch = [refused(i) for i in range(11)]
    one, other = making(telemetry, Clock()), making(telemetry, Clock())
    assert one.letters(batch).alerts == other.letters(batch).alerts != []
    clock = Clock()
    again = making(telemetry, clock)
    ids = []
    for minute in range(120):
        clock.now = minute * 60.0
        for each in batch:
            each.record.timestamp = NOW_MS // HOUR_MS * HOUR_MS + minute * 60_000
        ids += [alert.alert_id for alert in again.letters(batch).alerts]
    assert len(ids) == len(set(ids)) == 2


def test_payloads_of_a_flood_are_bounded(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PAYLOAD_BYTES", 250)
    records = [Refused(FakeRecord(b"x" * 100, offset), "empty", "") for offset in range(5)]
    made = making(telemetry, Clock()).letters(records)
    assert [len(x.payload) for x in made.letters] == [100, 100, 50, 0, 0]


async def test_the_role_is_degraded_until_the_flood_is_over(telemetry: Telemetry) -> None:
    making_letters, producer = making(telemetry, Clock(), dlq_window_s=1), FakeProducer()
    await making_letters.deliver(producer, [refused(i) for i in range(10)])
    assert telemetry.health()[1]["degraded"] == []
    await making_letters.deliver(producer, [refused(10), refused(11)])
    assert telemetry.health()[1]["degraded"] == ["dead_letters"]
    [(_, value)] = producer.sent[topics.ALERTS]
    assert codec.decode(Alert, value).severity == "critical"
    assert len(producer.sent[topics.DEAD_LETTERS]) == 11
    await asyncio.sleep(1.1)
    assert telemetry.health()[1]["degraded"] == []


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 20))
def test_the_longest_run_decides(accepted: list[bool], max_run: int) -> None:
    runs = "".join("." if good else "x" for good in accepted).split(".")
    limit = DeadLetterLimit(max_run, 1.0)
    if max(map(len, runs)) > max_run:
        with pytest.raises(TooManyDeadLetters, match="WEIR_DLQ_MAX_RUN"):
            limit.check(accepted)
    else:
        limit.check(accepted)


def test_a_run_goes_on_over_batches() -> None:
    limit = DeadLetterLimit(3, 1.0)
    limit.check([False, False])
    with pytest.raises(TooManyDeadLetters):
        limit.check([False, False])


def test_without_a_limit_nothing_stops() -> None:
    settings = Settings(_env_file=None)
    DeadLetterLimit(settings.dlq_max_run, settings.dlq_max_ratio).check([False] * 3 * WINDOW_MESSAGES)


def test_the_share_counts_over_a_full_window_only() -> None:
    limit = DeadLetterLimit(WINDOW_MESSAGES, 0.5)
    limit.check([True, False, False] * (WINDOW_MESSAGES // 3 - 1))
    with pytest.raises(TooManyDeadLetters, match="WEIR_DLQ_MAX_RATIO"):
        limit.check([True, False, False] * 3)


def test_what_was_bad_is_forgotten_after_a_window_of_good() -> None:
    limit = DeadLetterLimit(WINDOW_MESSAGES, 0.5)
    limit.check([False, True] * (WINDOW_MESSAGES // 2))
    limit.check([True] * WINDOW_MESSAGES)
    limit.check([False, True] * (WINDOW_MESSAGES // 2))
    assert limit._bad == WINDOW_MESSAGES // 2
