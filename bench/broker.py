"""What a broker costs: `python -m bench.broker HOST:PORT [PID]`, for any Kafka-compatible one.

The numbers are those of one client on the same machine; PID is the broker's process, for its share of a core.
"""

import asyncio
import statistics
import sys
import time
import uuid
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

PARTITIONS = 4
EVENTS = 100_000
VALUE = b"x" * 300
LONE = 100
IDLE_S = 5.0


async def main(address: str, pid: int | None) -> None:
    """Print the measurements, one a line."""
    topic = f"bench-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    print(f"sent, in batches          {await _produced(address, topic):9,.0f} events/s")
    print(f"read                      {await _consumed(address, topic):9,.0f} events/s")
    for wait in (10, 500):
        times = await _lone(address, topic, wait)
        middle, most = statistics.median(times), max(times)
        print(f"lone event, wait {wait:3} ms   {middle:9.1f} ms p50, {most:.1f} ms at most")
    print(f"a group of one joins in   {await _joined(address, topic):9.2f} s")
    if pid is not None:
        print(f"idle, 3 clients at 10 ms  {100 * await _idle(address, topic, pid):9.1f} % of a core")


async def _produced(address: str, topic: str) -> float:
    async with AIOKafkaProducer(bootstrap_servers=address, linger_ms=5, max_batch_size=1 << 19) as producer:
        began = time.perf_counter()
        for start in range(0, EVENTS, 10_000):
            futures = []
            for number in range(start, start + 10_000, 500):
                batch = producer.create_batch()
                for _ in range(500):
                    batch.append(key=None, value=VALUE, timestamp=None)
                futures.append(await producer.send_batch(batch, topic, partition=number // 500 % PARTITIONS))
            await asyncio.gather(*futures)
        return EVENTS / (time.perf_counter() - began)


async def _consumed(address: str, topic: str) -> float:
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=address, auto_offset_reset="earliest", fetch_max_wait_ms=10
    ) as consumer:
        began, seen = time.perf_counter(), 0
        while seen < EVENTS:
            seen += sum(len(records) for records in (await consumer.getmany(timeout_ms=1_000)).values())
        return EVENTS / (time.perf_counter() - began)


async def _lone(address: str, topic: str, wait: int) -> list[float]:
    times = []
    part = TopicPartition(topic, 0)
    async with (
        AIOKafkaProducer(bootstrap_servers=address) as producer,
        AIOKafkaConsumer(bootstrap_servers=address, fetch_max_wait_ms=wait) as consumer,
    ):
        consumer.assign([part])
        await consumer.seek_to_end(part)
        await consumer.position(part)
        for _ in range(LONE if wait < 100 else LONE // 10):
            waiting = asyncio.create_task(consumer.getone())
            await asyncio.sleep(0.02)
            began = time.perf_counter()
            await producer.send(topic, VALUE, partition=0)
            await waiting
            times.append(1_000 * (time.perf_counter() - began))
    return times


async def _joined(address: str, topic: str) -> float:
    began = time.perf_counter()
    async with AIOKafkaConsumer(topic, bootstrap_servers=address, group_id=f"g-{topic}"):
        return time.perf_counter() - began


async def _idle(address: str, topic: str, pid: int) -> float:
    clients = [AIOKafkaConsumer(topic, bootstrap_servers=address, fetch_max_wait_ms=10) for _ in range(3)]
    for client in clients:
        await client.start()
    await asyncio.sleep(1.0)
    before = _cpu_seconds(pid)
    await asyncio.sleep(IDLE_S)
    used = _cpu_seconds(pid) - before
    for client in clients:
        await client.stop()
    return used / IDLE_S


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None))
