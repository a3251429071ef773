"""What the commands guard, watch and archive share: settings, logs, health endpoint, run loop."""

import asyncio
from collections.abc import Callable

import structlog

from schemas import topics
from streams.faust_app import Role, Worker
from streams.kafka import BrokerError, missing_topics
from streams.settings import Settings, load
from streams.telemetry import Telemetry, TelemetryServer, configure_logging

log = structlog.get_logger(__name__)
RETRY_S = 0.5


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
    await server.start()
    try:
        await _wait_for_topics(settings)
        await Worker(settings, role, telemetry).run()
    finally:
        await server.stop()


async def _wait_for_topics(settings: Settings) -> None:
    """Wait a while for the broker and its topics, as in a deployment where all start together."""
    deadline = asyncio.get_running_loop().time() + settings.kafka_start_timeout_s
    while True:
        try:
            missing = await missing_topics(settings)
            error = BrokerError(f"topics are missing ({', '.join(missing)}): create them with `weir topics`")
            if not missing:
                return
        except BrokerError as unreachable:
            error = unreachable
        if asyncio.get_running_loop().time() > deadline:
            raise error
        log.info("waiting for the broker", topics=len(topics.ALL))
        await asyncio.sleep(RETRY_S)
