"""What is known of the age of what waits."""

import time
from collections.abc import Iterable, Sequence
from typing import cast

import pytest
from aiokafka.structs import TopicPartition

from schemas.rejection import Reason
from streams.kafka.polls import Poll, oldest
from streams.kafka.records import Record, RefusedBatch
from tests.streams.records import FakeRecord


def test_what_no_clock_has_given_is_not_the_oldest() -> None:
    now = round(1000 * time.time())
    assert oldest([now, now - 5, 0, -1, 1, now // 1000]) == now - 5
    assert oldest([0, now // 1000]) == oldest([]) == 0
    records = [FakeRecord(b"", timestamp=each) for each in (now // 1000, now)]
    assert Poll("live", {}, {}, 0, 0).oldest == 0
    assert Poll("live", {("t", 0): records}, {}, 0, 0).oldest == now


def poll(*records: FakeRecord) -> Poll:
    size = sum(len(each.value or b"") + len(each.key or b"") for each in records)
    return Poll("live", {TopicPartition("t", 0): records}, {}, 0, size)


def quick(records: Sequence[Record]) -> list[bool]:
    return [(each.value or b"").startswith(b"q") for each in records]


def values(records: Iterable[Record]) -> list[bytes | None]:
    return [each.value for each in records]


def test_what_waits_is_packed_and_as_it_was_when_its_turn_comes() -> None:
    records = [FakeRecord(b"wait %d" % n, n, "t", key=b"%d" % (n % 9)) for n in range(500)]
    records += [FakeRecord(b"q", 500, "t", key=b"k"), FakeRecord(None, 501, "t", key=None)]
    found = poll(*records)
    before = found.size
    found.set_aside(quick, [])
    assert (values(found.ahead), found.records) == ([b"q"], [])
    assert found.size < before / 20
    found.unpack()
    fields = ("topic", "partition", "offset", "timestamp", "key", "value")
    asked = [tuple(getattr(each, name) for name in fields) for each in records if each.value != b"q"]
    assert [tuple(getattr(each, name) for name in fields) for each in found.records] == asked


@pytest.mark.parametrize("packed", [True, False])
def test_nothing_goes_ahead_of_a_record_of_the_same_key(packed: bool) -> None:
    first = poll(FakeRecord(b"wait", 0, "t", key=b"a"), FakeRecord(b"wait", 1, "t", key=None))
    if packed:
        first.set_aside(quick, [])
    second = poll(
        *(FakeRecord(b"q " + key, 2 + n, "t", key=key) for n, key in enumerate((b"a", b"b"))),
        FakeRecord(b"wait", 4, "t", key=b"c"),
        FakeRecord(b"q c", 5, "t", key=b"c"),
        FakeRecord(b"q", 6, "t", key=None),
    )
    second.set_aside(quick, [first])
    assert values(second.ahead) == [b"q b", b"q"]
    second.unpack()
    assert values(second.records) == [b"q a", b"wait", b"q c"]


def test_large_records_and_what_stands_for_them_stay_as_they_are() -> None:
    refused = RefusedBatch("t", 0, 1, 1, Reason.TOO_LARGE, "")
    for found in (poll(FakeRecord(b"q" * 8_000)), poll(FakeRecord(b"q"), cast("FakeRecord", refused))):
        waiting = list(found.records)
        found.set_aside(quick, [])
        assert (found.records, found.ahead) == (waiting, [])
