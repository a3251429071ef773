"""Clients run by their own interpreter, so that what they need does not meddle with what weir needs."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.local.process import HOST, free_port
from tests.harness import Role, Weir

ROOT = Path(__file__).parents[2]
CLIENTS = Path(os.environ.get("WEIR_TEST_CLIENTS") or ROOT / ".venv-clients" / "bin" / "python")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def client_python() -> Path:
    if not CLIENTS.exists():
        pytest.skip("the clients are not installed: `make test-clients` does it")
    return CLIENTS


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Role, str]]:
    """A gate of its own, without a broker: what it decides waits in its outbox."""
    folder, port = tmp_path_factory.mktemp("gate"), free_port()
    weir = Weir(f"{HOST}:{free_port()}", folder, WEIR_GATE_LISTEN=f"{HOST}:{port}")
    # There is no broker that could take what it holds at the end.
    ending = {"WEIR_DRAIN_TIMEOUT_S": "0.5"}
    role: Role = weir.role("gate", WEIR_GATE_OUTBOX=str(folder / "outbox"), **ending).start()
    yield role, f"http://{HOST}:{port}"
    role.stop()


@pytest.fixture
def gate_url(gate: tuple[Role, str]) -> str:
    return gate[1]


@pytest.fixture
def run(gate_url: str) -> Run:
    """Run a program of examples/clients against the gate."""

    examples = ROOT / "examples" / "clients"

    def call(
        *command: str, within_s: float = 60, cwd: Path = examples, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "WEIR_URL": gate_url, **environment},
            capture_output=True,
            text=True,
            timeout=within_s,
        )

    return call


@pytest.fixture
def serve(gate_url: str) -> Iterator[Callable[..., None]]:
    """Start servers that end with the test; wait until each answers."""
    running = []

    def start(*command: str, port: int, **environment: str) -> None:
        process = subprocess.Popen(
            command,
            cwd=ROOT / "examples" / "clients",
            env={**os.environ, "WEIR_URL": gate_url, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        _await(process, port)

    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=20)


def _await(process: "subprocess.Popen[str]", port: int) -> None:
    import socket

    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(process.communicate()[0])
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail("the server did not start")
