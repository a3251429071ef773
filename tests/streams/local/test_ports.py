"""`weir up` waits for the roles of the last one, and for nothing else."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from streams.local import ports
from streams.local.ports import NeededPort, await_ports
from streams.local.process import HOST, LocalServiceError, free_port
from streams.roles import PROCESSES, ROLES
from streams.telemetry.metrics import Telemetry
from streams.telemetry.server import TelemetryServer


@contextmanager
def role(name: str, *, stalled: bool = False, stopping: bool = True) -> Iterator[NeededPort]:
    """The health endpoint of a role that was told to stop, on a port of its own."""
    port, loop = free_port(), asyncio.new_event_loop()
    telemetry = Telemetry(name, stall_s=0.0 if stalled else 60.0)
    telemetry.stopping = stopping
    server = TelemetryServer(telemetry, HOST, port, "X")
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    try:
        yield NeededPort(name, port, f"WEIR_{name.upper()}_PORT")
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def foreign(name: str, setting: str) -> Iterator[NeededPort]:
    """A port that something listens on and answers nothing."""
    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=hang_up, args=(server,))
        thread.start()
        yield NeededPort(name, server.getsockname()[1], setting)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def hang_up(server: socket.socket) -> None:
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            return


def test_free_ports_are_taken_without_a_word() -> None:
    said: list[str] = []
    await_ports([NeededPort("guard", free_port(), "WEIR_GUARD_PORT")], said.append, 1.0)
    assert said == []


def test_roles_that_are_ending_are_waited_for() -> None:
    said: list[str] = []
    with ExitStack() as ending:
        needed = [ending.enter_context(role(name, stalled=name == "watch")) for name in ROLES]
        timer = threading.Timer(0.5, ending.pop_all().close)
        timer.start()
        try:
            await_ports(needed, said.append, 20.0)
        finally:
            timer.join()
    (line,) = said
    assert "the roles of the last `weir up` are still ending (guard, watch, archive)" in line


def test_another_weir_that_runs_is_named_with_all_its_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "SETTLE_S", 0.3)
    said: list[str] = []
    with ExitStack() as running:
        needed = [running.enter_context(foreign(*each)) for each in (("broker", "WEIR_KAFKA"),)]
        needed += [running.enter_context(foreign("store", "WEIR_CLICKHOUSE"))]
        needed += [running.enter_context(role(name, stopping=False)) for name in ROLES]
        with pytest.raises(LocalServiceError, match="Another weir seems to run") as refused:
            await_ports(needed, said.append, 20.0)
    for port in needed:
        assert f"{port.name}: port {port.number} ({port.setting})" in str(refused.value)
    assert said == [], "its roles were not told to stop"


def test_a_role_that_was_not_told_to_stop_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "SETTLE_S", 0.3)
    said: list[str] = []
    with role("guard", stopping=False) as port, pytest.raises(LocalServiceError) as refused:
        await_ports([port], said.append, 3600.0)
    assert f"guard: port {port.number} (WEIR_GUARD_PORT)" in str(refused.value)
    assert said == []


def test_roles_that_do_not_end_are_given_up() -> None:
    with role("guard") as port, pytest.raises(LocalServiceError, match="Another weir seems to run"):
        await_ports([port], lambda _: None, 0.3)


def test_what_is_not_weir_is_not_waited_for() -> None:
    started = time.monotonic()
    refusal = pytest.raises(LocalServiceError, match="Stop what listens there")
    with foreign("guard", "WEIR_GUARD_PORT") as port, refusal as refused:
        await_ports([port], lambda _: None, 60.0)
    assert time.monotonic() - started < 60
    assert "weir seems" not in str(refused.value)


def test_ctrl_c_ends_the_waiting(tmp_path: Path) -> None:
    with role("guard") as port:
        settings = {
            "WEIR_KAFKA": f"{HOST}:{free_port()}",
            "WEIR_CLICKHOUSE": f"http://{HOST}:{free_port()}",
            "WEIR_GUARD_PORT": str(port.number),
            **{f"WEIR_{name.upper()}_PORT": str(free_port()) for name in PROCESSES[1:]},
            "WEIR_GATE_LISTEN": f"{HOST}:{free_port()}",
            "WEIR_DESK_LISTEN": f"{HOST}:{free_port()}",
        }
        with subprocess.Popen(
            [sys.executable, "-m", "streams", "up", "--data", str(tmp_path / "data")],
            env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as up:  # fmt: skip
            assert up.stdout is not None
            first = up.stdout.readline()
            up.send_signal(signal.SIGINT)
            rest = up.communicate(timeout=60)[0]
    assert "are still ending (guard)" in first, first + rest
    assert up.returncode == 130
    assert "Traceback" not in rest
