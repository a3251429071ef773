"""The desk as a process: its pages, one store, one producer."""

import asyncio
import signal

import structlog
from aiohttp import web

from streams.desk.claims import Claims
from streams.desk.server import Desk
from streams.errors import WeirError
from streams.kafka.clients import BatchProducer
from streams.roles import PROCESSES
from streams.roles.run import STOP_S, end_at_the_latest
from streams.settings import Settings
from streams.store.client import make_store
from streams.telemetry.metrics import Telemetry
from streams.telemetry.server import TelemetryServer

log = structlog.get_logger(__name__)
END_S = 5.0
"""For requests that are under way when it is told to stop."""
LOOK_S = 1.0


def run(settings: Settings, telemetry: Telemetry) -> None:
    """Serve until SIGTERM or SIGINT; `WeirError` where it cannot listen, `BrokerError` without a broker."""
    asyncio.run(_run(settings, telemetry))


async def _run(settings: Settings, telemetry: Telemetry) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    ending = asyncio.create_task(end_at_the_latest(telemetry, stopping, END_S + STOP_S))
    store, producer = make_store(settings), BatchProducer(settings, telemetry)
    claims = Claims(settings, producer)
    desk = Desk(settings, settings, store, producer, claims, _roles(settings))
    runner = web.AppRunner(desk.application(), access_log=None, shutdown_timeout=END_S)
    server = TelemetryServer(telemetry, settings.http_host, settings.desk_port, "WEIR_DESK_PORT")
    working: list[asyncio.Task[None]] = []
    try:
        await server.start()
        await producer.start()
        working += map(asyncio.create_task, (claims.follow(), _alive(telemetry)))
        await _listen(runner, settings)
        telemetry.ready = True
        log.info("the desk is open", address=settings.desk_listen)
        await stopping.wait()
    finally:
        ending.cancel()
        for task in working:
            task.cancel()
        await runner.cleanup()
        await producer.stop()
        await server.stop()
        store.close()


async def _alive(telemetry: Telemetry) -> None:
    """Note again and again that nothing waits: requests are answered as they come, or nothing answers."""
    while True:
        telemetry.lag(0)
        await asyncio.sleep(LOOK_S)


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    await runner.setup()
    host, _, port = settings.desk_listen.rpartition(":")
    try:
        await web.TCPSite(runner, host, int(port)).start()
    except OSError as error:
        problem = f"{host}:{port} is in use or not ours to use ({error.strerror})"
        raise WeirError(f"{problem}: set WEIR_DESK_LISTEN") from error


def _roles(settings: Settings) -> list[tuple[str, str]]:
    """Return where the roles tell how they are, as far as they run where the desk does."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.http_host, settings.http_host)  # noqa: S104
    return [(name, f"{host}:{getattr(settings, f'{name}_port')}") for name in PROCESSES if name != "desk"]
