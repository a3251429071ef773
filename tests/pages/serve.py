"""A desk of demo data to look at: `python -m tests.pages.serve PORT`; ends with its input."""

import asyncio
import sys
import tempfile
from pathlib import Path

from aiohttp import web

from streams.decisions.scoring import make_runner
from streams.desk.server import Desk
from streams.local.clickhouse import start_clickhouse
from streams.local.process import free_port
from streams.settings import load
from streams.store.client import make_store
from tests.pages.traffic import fill


class Nowhere:
    async def send(self, topic: str, messages: object) -> None:
        print(topic, messages)


async def serve(port: int, folder: Path) -> None:
    own = free_port()
    child = start_clickhouse(folder / "store", own)
    try:
        settings = load(clickhouse=f"http://127.0.0.1:{own}")
        store = make_store(settings)
        detectors = make_runner(settings)
        fill(store, detectors.metrics)
        detectors.close()
        runner = web.AppRunner(Desk(settings, settings, store, Nowhere()).application())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        print("ready", own, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()
    finally:
        child.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(serve(int(sys.argv[1]), Path(made)))
