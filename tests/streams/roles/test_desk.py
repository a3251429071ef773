"""The desk as a process says how it is."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from streams.local.process import free_port
from streams.roles import desk
from streams.settings import Settings, load
from streams.telemetry.metrics import Telemetry
from tests.streams.weir import forget_settings
from tests.waiting import wait_until


@pytest.fixture
def settings(broker: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    forget_settings(monkeypatch, tmp_path)
    given = {"KAFKA": broker, "DESK_PORT": str(free_port()), "DESK_LISTEN": f"127.0.0.1:{free_port()}"}
    for name, value in given.items():
        monkeypatch.setenv(f"WEIR_{name}", value)
    return load()


async def test_a_desk_that_nobody_asks_has_not_stalled(settings: Settings) -> None:
    now = 0.0
    telemetry = Telemetry("desk", settings.health_stall_s, clock=lambda: now)
    running = asyncio.create_task(desk._run(settings, telemetry))
    try:
        await asyncio.to_thread(wait_until, lambda: telemetry.ready, "the desk is open")
        now = 10 * settings.health_stall_s
        await asyncio.to_thread(wait_until, lambda: telemetry.health()[0], "nothing waits")
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
