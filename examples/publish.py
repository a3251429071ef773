"""Publish one prompt; `pip install aiokafka` is all this needs.

python examples/publish.py "Where is my parcel?"
"""

import asyncio
import json
import os
import sys
import uuid

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError

KAFKA = os.environ.get("WEIR_KAFKA", "127.0.0.1:9092")


async def main(text: str) -> None:
    event = {
        "event_id": str(uuid.uuid4()),
        "app": "shop",
        "kind": "prompt",
        "text": text,
        "conversation_id": "c-1",
        "model": "small-1",
        "prompt_version": "2",
    }
    producer = AIOKafkaProducer(bootstrap_servers=KAFKA, acks="all")
    try:
        await producer.start()
        # The key keeps a conversation in order.
        key = event["conversation_id"].encode()
        record = await producer.send_and_wait("llm.events", json.dumps(event).encode(), key=key)
    except KafkaConnectionError:
        sys.exit(f"no broker answers at {KAFKA}: start `weir up`, or set WEIR_KAFKA")
    finally:
        await producer.stop()
    print(f"published {event['event_id']} to partition {record.partition}, offset {record.offset}")


if __name__ == "__main__":
    if sys.argv[1:] in (["-h"], ["--help"]):
        sys.exit(print("usage: python examples/publish.py [TEXT]"))
    asyncio.run(main(" ".join(sys.argv[1:]) or "Where is my parcel?"))
