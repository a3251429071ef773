"""The embedded broker: `python -m streams.local.broker --data DIRECTORY --port PORT`."""

import argparse
import asyncio
import fcntl
import logging
import signal
import sys
from pathlib import Path

from streams.kafka import decompression
from streams.local.broker.answers import Answers
from streams.local.broker.server import serve
from streams.local.process import HOST

log = logging.getLogger(__name__)


async def _main(data: Path, port: int, *, create_topics: bool) -> None:
    stop = asyncio.Event()
    decompression.install()  # a compaction unpacks what producers packed
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    answers = Answers(data, HOST, port, create_topics=create_topics)
    log.info("%d topics in %s, on port %d", len(answers.topics.names()), data, port)
    await serve(answers, HOST, port, stop)


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m streams.local.broker", description="Kafka for one machine."
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the topics")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--create-topics", action="store_true", help="make a topic when a client asks for it")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        options.data.mkdir(parents=True, exist_ok=True)
        with (options.data / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            asyncio.run(_main(options.data, options.port, create_topics=options.create_topics))
    except BlockingIOError:
        sys.exit(f"another broker runs on {options.data}")
    except OSError as error:
        sys.exit(f"the broker cannot run on port {options.port}, {options.data}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
