"""Decompression with a limit: right for what is whole, refused for what is too large or damaged."""

import random
import struct
from collections.abc import Callable

import aiokafka.codec
import pytest

from streams.kafka import decompression
from streams.kafka.decompression import UNPACKED_BYTES, Undecodable, UnpackedTooLarge

CODECS = ("gzip", "lz4", "snappy", "zstd")
DATA = random.Random(7).randbytes(1_000) * 3_000


def functions(codec: str) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    return getattr(aiokafka.codec, f"{codec}_encode"), getattr(decompression, codec)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [0, 1, 300_000, len(DATA)])
def test_what_was_packed_is_unpacked(codec: str, size: int) -> None:
    pack, unpack = functions(codec)
    assert unpack(pack(DATA[:size])) == DATA[:size]


@pytest.mark.parametrize("codec", CODECS)
def test_the_limit_is_exact(codec: str) -> None:
    pack, unpack = functions(codec)
    assert len(unpack(pack(bytes(UNPACKED_BYTES)))) == UNPACKED_BYTES
    with pytest.raises(UnpackedTooLarge):
        unpack(pack(bytes(UNPACKED_BYTES + 1)))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("damage", [lambda packed: packed[: len(packed) // 2], lambda packed: b"garbage"])
def test_damage_is_told_apart(codec: str, damage: Callable[[bytes], bytes]) -> None:
    pack, unpack = functions(codec)
    with pytest.raises(Undecodable):
        unpack(damage(pack(DATA)))


@pytest.mark.parametrize("size", [-1, 0, 1 << 30])
def test_a_snappy_block_must_lie_within_the_data(size: int) -> None:
    header = aiokafka.codec.snappy_encode(b"")[:16]
    with pytest.raises(Undecodable):
        decompression.snappy(header + struct.pack(">i", size) + b"xy")


def test_raw_snappy_is_unpacked_too() -> None:
    assert decompression.snappy(aiokafka.codec.snappy_encode(DATA, xerial_compatible=False)) == DATA


def test_install_replaces_what_aiokafka_uses() -> None:
    decompression.install()
    for module in decompression.record_modules():
        for name, decoder in decompression.DECODERS.items():
            assert getattr(module, name, decoder) is decoder
    assert all(hasattr(decompression.record_modules()[0], name) for name in decompression.DECODERS)
