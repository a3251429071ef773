"""Follow the alerts; `pip install aiokafka` is all this needs.

python examples/alerts.py         # until Ctrl-C
python examples/alerts.py 1       # stop after one
"""

import asyncio
import contextlib
import json
import os
import sys

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError

KAFKA = os.environ.get("WEIR_KAFKA", "127.0.0.1:9092")


async def main(limit: float) -> None:
    # With a group Kafka remembers what was read: an alert that comes while this is down is shown later.
    consumer = AIOKafkaConsumer(
        "llm.alerts", bootstrap_servers=KAFKA, group_id="pager", auto_offset_reset="earliest"
    )
    seen: set[str] = set()
    try:
        await consumer.start()
        async for record in consumer:
            alert = json.loads(record.value)
            # Delivery is at least once: the id is the same when an alert comes twice.
            if alert["alert_id"] in seen:
                continue
            seen.add(alert["alert_id"])
            print(alert["severity"], alert["app"], alert["title"], alert.get("event_id", ""), flush=True)
            if len(seen) >= limit:
                return
    except KafkaConnectionError:
        sys.exit(f"no broker answers at {KAFKA}: start `weir up`, or set WEIR_KAFKA")
    finally:
        await consumer.stop()


if __name__ == "__main__":
    if sys.argv[1:] and not sys.argv[1].isdigit():
        print("usage: python examples/alerts.py [COUNT]")
        sys.exit(0 if sys.argv[1] in ("-h", "--help") else 2)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")))
