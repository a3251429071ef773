import gzip
import importlib
import zlib
from collections.abc import Callable

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.local.content import ContentError, decode

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": importlib.import_module("lz4.frame").compress,
    "zstd": zstd.compress,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
}


@pytest.mark.parametrize("encoding", ENCODERS)
@given(frames=st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=4))
@settings(max_examples=25)
def test_every_frame_of_a_body_counts(encoding: str, frames: list[bytes]) -> None:
    body = b"".join(map(ENCODERS[encoding], frames))
    assert decode(body, encoding, 1 << 20) == b"".join(frames)


@pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip", "deflate"])
def test_a_bomb_a_stump_and_rubbish_are_refused(encoding: str) -> None:
    body = ENCODERS[encoding](bytes(100_000))
    with pytest.raises(ContentError, match="more than"):
        decode(body, encoding, 99_999)
    with pytest.raises(ContentError, match="ends within"):
        decode(body[:-5], encoding, 1 << 20)
    with pytest.raises(ContentError, match=f"not {encoding}"):
        decode(b"rubbish, no frame at all", encoding, 1 << 20)


def test_an_unknown_encoding_names_the_known_ones() -> None:
    with pytest.raises(ContentError, match="lz4, zstd, gzip"):
        decode(b"x", "snappy", 10)
