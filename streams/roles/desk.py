"""The desk as a process: its pages, one store, one producer."""

import asyncio
import signal

from aiohttp import web

from streams.desk.server import Desk
from streams.errors import WeirError
from streams.kafka.clients import BatchProducer
from streams.settings import Settings
from streams.store.client import make_store


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; `WeirError` where it cannot listen, `BrokerError` without a broker."""
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    store, producer = make_store(settings), BatchProducer(settings)
    runner = web.AppRunner(Desk(settings, settings, store, producer).application(), access_log=None)
    await runner.setup()
    host, _, port = settings.desk_listen.rpartition(":")
    try:
        await producer.start()
        try:
            await web.TCPSite(runner, host, int(port)).start()
        except OSError as error:
            problem = f"{host}:{port} is in use or not ours to use ({error.strerror})"
            raise WeirError(f"{problem}: set WEIR_DESK_LISTEN") from error
        await stopping.wait()
    finally:
        await runner.cleanup()
        await producer.stop()
        store.close()
