"""What the commands guard, watch and archive share: settings, logs, health endpoint, run loop."""

import asyncio
import os
import threading
from collections.abc import Callable

import structlog

from schemas import topics
from streams.errors import FATAL
from streams.kafka.clients import BrokerError
from streams.kafka.faust_worker import Worker
from streams.kafka.role import Role
from streams.kafka.topics import missing_topics
from streams.settings import Settings, load
from streams.telemetry.logs import configure_logging
from streams.telemetry.metrics import Telemetry
from streams.telemetry.server import TelemetryServer

log = structlog.get_logger(__name__)
RETRY_S = 0.5
STOP_S = 15.0
"""To stop the clients, after the time to drain."""


def run_role(name: str, make: Callable[[Settings, Telemetry], Role]) -> None:
    """Run one role until SIGTERM; raise what ended it otherwise."""
    settings = load()
    configure_logging(settings, name)
    telemetry = Telemetry(name, settings.health_stall_s)
    role = make(settings, telemetry)
    port: int = getattr(settings, f"{name}_port")
    asyncio.run(_run(settings, telemetry, role, port))


async def _run(settings: Settings, telemetry: Telemetry, role: Role, port: int) -> None:
    server = TelemetryServer(telemetry, settings.http_host, port, f"WEIR_{role.name.upper()}_PORT")
    # First: whoever probes a role that waits for its broker must find it alive.
    await server.start()
    try:
        await wait_for_topics(settings)
        worker = Worker(settings, role, telemetry)
        latest_s = settings.drain_timeout_s + STOP_S
        ending = asyncio.create_task(end_at_the_latest(telemetry, worker.stopping, latest_s))
        await worker.run()
        await ending
    finally:
        await server.stop()


async def end_at_the_latest(telemetry: Telemetry, stopping: asyncio.Event, seconds: float) -> None:
    """Once the role stops, say so, and end the process within so many seconds: clients of a dead broker
    never would.

    Nothing is lost by it: what is not finished is not committed.
    """
    await stopping.wait()
    telemetry.stopping = True
    timer = threading.Timer(seconds, os._exit, (FATAL,))
    timer.daemon = True
    timer.start()


async def wait_for_topics(settings: Settings) -> None:
    """Wait a while for the broker and its topics, as in a deployment where all start together."""
    waited = False
    clock = asyncio.get_running_loop().time
    deadline = clock() + settings.kafka_start_timeout_s
    while True:
        try:
            missing = await missing_topics(settings, max(deadline - clock(), RETRY_S))
            error = BrokerError(f"topics are missing ({', '.join(missing)}): create them with `weir topics`")
            if not missing:
                return
        except BrokerError as unreachable:
            error = unreachable
        if clock() > deadline - RETRY_S:
            raise error
        if not waited:
            log.info("waiting for the broker", topics=len(topics.ALL), problem=str(error))
        waited = True
        await asyncio.sleep(RETRY_S)
