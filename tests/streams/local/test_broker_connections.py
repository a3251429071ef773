"""What else may come to the broker's port."""

import asyncio
import random
import socket
import struct
import subprocess
import sys
import time

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.local.broker import answers
from streams.local.broker.apis import APIS
from streams.local.broker.wire import Reader, WireError, decode, encode, layout
from tests.streams.local.test_broker_partition import batch


def said(broker: str, data: bytes, patience_s: float = 0.3) -> bytes:
    """Return what the broker answers before it closes the connection, or falls silent for so long."""
    host, _, port = broker.rpartition(":")
    with socket.create_connection((host, int(port)), 60.0) as connection:
        connection.settimeout(patience_s)
        connection.sendall(data)
        try:
            return connection.recv(1 << 16)
        except (TimeoutError, ConnectionResetError):
            return b""


def framed(key: int, version: int, body: bytes) -> bytes:
    request = struct.pack(">hhih", key, version, 1, -1) + body
    return struct.pack(">i", len(request)) + request


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        struct.pack(">i", -1),
        struct.pack(">i", 1 << 30),
        framed(0, 3, b""),
        framed(3, 1, struct.pack(">i", 1 << 30)),
        framed(3, 1, struct.pack(">ih", 1, 5) + b"\xff\xfe\xfd\xfc\xfb"),
        framed(1, 4, random.Random(5).randbytes(200)),
        framed(999, 0, b""),
        framed(11, 99, b""),
    ],
)
def test_what_is_no_request_is_cut_off(broker: str, data: bytes) -> None:
    assert said(broker, data) == b""
    assert answers(int(broker.rpartition(":")[2]))


def test_a_newer_client_is_told_the_versions(broker: str) -> None:
    reply = said(broker, framed(18, 4, b"\0\0\0"), 60.0)
    assert struct.unpack_from(">iih", reply)[1:] == (1, 35)
    assert len(reply) > 100


@given(st.data())
@settings(max_examples=60)
def test_every_layout_reads_what_it_writes(data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(APIS)))
    api = APIS[key]
    version = data.draw(st.integers(api.low, api.high))
    compact = version >= api.compact_from
    for text in (api.request, api.response):
        codec = layout(text, version, compact=compact)
        raw = data.draw(st.binary(max_size=60))
        try:
            value = decode(text, version, Reader(raw), compact=compact)
        except WireError:
            continue
        again = b"".join(encode(text, version, value, compact=compact))
        assert codec.read(Reader(again)) == value


FAULTY = """
import asyncio
from streams.local.broker import server

class Answers:
    looks = 0

    async def tidy(self):
        self.looks += 1
        if self.looks == 2:
            print("again")
            raise asyncio.CancelledError
        raise RuntimeError("a fault of ours")

server.TIDY_S = 0
asyncio.run(server._tidy(Answers()))
"""


def test_a_fault_ends_neither_retention_nor_compaction() -> None:
    """In a process of its own: `answers` of the package is a function here, and a module where it runs."""
    done = subprocess.run([sys.executable, "-c", FAULTY], capture_output=True, text=True, timeout=60)
    assert done.stdout == "again\n"


async def test_a_client_that_produces_more_than_its_quota_waits_and_others_do_not(broker: str) -> None:
    """32 MiB a second, half a second ahead: 28 MiB wait for 12 MiB of them."""
    async with (
        AIOKafkaProducer(bootstrap_servers=broker) as flood,
        AIOKafkaProducer(bootstrap_servers=broker) as quiet,
    ):
        await asyncio.gather(flood.send_and_wait("flood", b""), quiet.send_and_wait("quiet", b""))
        began = time.monotonic()
        sent = [await flood.send("flood", bytes(1_000_000)) for _ in range(30)]
        flooding = asyncio.gather(*sent)
        await quiet.send_and_wait("quiet", b"")
        assert not flooding.done()
        await flooding
    assert 0.35 < time.monotonic() - began < 10.0


async def test_what_a_client_produced_before_it_left_is_kept(broker: str) -> None:
    """It wants no answers, has sent all, and is gone, while the broker still holds it to its quota."""
    async with AIOKafkaProducer(bootstrap_servers=broker) as first:
        await first.send_and_wait("left", b"", partition=0)
    place = {"name": "left", "partitions": [{"index": 0, "records": batch(bytes(1_000_000))}]}
    asked = {"transactional_id": None, "acks": 0, "timeout": 1_000, "topics": [place]}
    request = framed(0, 7, b"".join(encode(APIS[0].request, 7, asked, compact=False)))
    host, _, port = broker.rpartition(":")
    with socket.create_connection((host, int(port)), 60.0) as connection:
        await asyncio.to_thread(connection.sendall, 28 * request)
    options = {"bootstrap_servers": broker, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer("left", **options) as consumer, asyncio.timeout(20):
        for _ in range(29):
            await consumer.getone()
