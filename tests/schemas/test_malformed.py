import contextlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import Decoder, Reason, Rejected, decode
from schemas.topics import MESSAGES
from tests.malformed import KINDS, NOW_MS, SECRET, Maker, event, malformed_payloads

NEVER_BY_DECODING_EVENTS = {Reason.MISSING_TIMESTAMP, Reason.STORE_REJECTED, Reason.UNREADABLE_BATCH}
"""The one needs a record without a timestamp, the other comes from the archive."""


def rejection(payload: bytes | None) -> Rejected:
    with pytest.raises(Rejected) as caught:
        Decoder().decode_event(payload, NOW_MS, NOW_MS)
    return caught.value


@pytest.mark.parametrize(("make", "reason"), [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS])
def test_each_kind_is_refused_for_its_reason_without_its_text(make: Maker, reason: Reason) -> None:
    for seed in range(20 if reason is not Reason.TOO_LARGE else 1):
        payload = make(random.Random(seed))
        rejected = rejection(payload)
        assert rejected.reason is reason, rejected.detail
        assert rejected.detail
        assert len(rejected.detail) < 200
        for piece in (SECRET, *SECRET.split("-"), "says", "o'clock"):
            assert piece not in rejected.detail


def test_without_their_fault_the_payloads_are_accepted() -> None:
    payload = event(random.Random(1))
    assert decode(MESSAGES["event"], json.dumps(payload).encode()) is not None


def test_every_reason_of_the_decoder_is_covered() -> None:
    assert {reason for _, _, reason in KINDS} == set(Reason) - NEVER_BY_DECODING_EVENTS
    assert len({name for name, _, _ in KINDS}) == len(KINDS)


def test_the_corpus_is_reproducible_and_has_all_kinds() -> None:
    n = len(KINDS) * 2
    assert malformed_payloads(7, n) == malformed_payloads(7, n)
    assert malformed_payloads(7, n) != malformed_payloads(8, n)
    assert {name for name, _, _ in malformed_payloads(7, len(KINDS))} == {kind[0] for kind in KINDS}


@given(payload=st.binary(max_size=400))
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    for kind in MESSAGES.values():
        with pytest.raises(Rejected):
            decode(kind, payload)


@given(
    seed=st.integers(0, 2**32),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
)
def test_no_damage_to_a_valid_event_raises_anything_else(seed: int, flips: list[tuple[int, int]]) -> None:
    valid = json.dumps(event(random.Random(seed), timestamp=NOW_MS)).encode()
    damaged = bytearray(valid)
    for position, byte in flips:
        damaged[position % len(damaged)] = byte
    with contextlib.suppress(Rejected):
        Decoder().decode_event(bytes(damaged), NOW_MS, NOW_MS)
