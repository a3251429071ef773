"""Rooms depend on each other in one direction: none imports one above it, so there is no circle."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from detectors.registry import BUILT_IN

ROOT = Path(__file__).parent.parent
FLOORS = (
    "schemas",
    "schemas.otel",
    *("detectors.errors", "detectors.limits", "detectors.steps"),
    "detectors.models",
    "detectors.deobfuscation",
    "detectors.privacy",
    "detectors.grounding",
    "detectors",
    *("detectors.references", "detectors.terms"),
    *("streams.errors", "streams.setting_types"),
    "streams.telemetry",
    "streams.kafka",
    "streams.policy",
    "streams.store",
    "streams.terminal",
    "streams.ingest",
    "streams.decisions",
    "streams.alerts",
    "streams.monitors",
    "streams.gate",
    "streams.desk",
    "streams.settings",
    "streams.roles",
    *("streams.local", "streams.doctor"),
    "streams.commands",
    *("streams.cli", "streams.__main__"),
)
"""Rooms and single modules from the ground up; each imports only what stands before it."""
APART = {"detectors.training"}
"""Runs on a developer's machine only, and may import anything below `streams`."""
FOREIGN = {
    "schemas": {"asyncio", "aiokafka", "faust", "clickhouse_connect", "aiohttp"},
    "detectors": {"asyncio", "aiokafka", "faust", "clickhouse_connect", "aiohttp"},
}
OURS = {"schemas", "detectors", "streams", "tests", "bench", "examples"}
MAX_LINES = 300


def modules() -> Iterator[tuple[str, Path]]:
    for package in ("schemas", "detectors", "streams"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


MODULES = dict(modules())


def room(name: str) -> str | None:
    """Return the floor of a module: of itself, or of the nearest package that has one."""
    while name not in FLOORS and name not in APART and "." in name:
        name = name.rpartition(".")[0]
    return name if name in FLOORS else None


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_module_has_a_floor() -> None:
    lost = [name for name in MODULES if room(name) is None and not name.startswith(tuple(APART))]
    assert lost == ["streams"]
    used = {room(name) for name in MODULES}
    assert [floor for floor in FLOORS if floor not in used] == []


@pytest.mark.parametrize("name", [name for name in MODULES if room(name)])
def test_a_module_imports_only_what_is_below_its_room(name: str) -> None:
    floor = room(name)
    assert floor is not None
    below = FLOORS[: FLOORS.index(floor) + 1]
    ours = {other for other in imported(MODULES[name]) if other.split(".")[0] in OURS}
    above = {other for other in ours if room(other) not in below}
    assert not above, f"{name} is in {floor}"


@pytest.mark.parametrize("name", [name for name in MODULES if name.split(".")[0] in FOREIGN])
def test_schemas_and_detectors_know_no_network(name: str) -> None:
    package = name.split(".")[0]
    assert not {other.split(".")[0] for other in imported(MODULES[name])} & FOREIGN[package]


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(tuple(APART))])
def test_training_knows_no_stream(name: str) -> None:
    assert not {other for other in imported(MODULES[name]) if other.startswith(("streams", "tests"))}


def test_only_three_modules_know_faust() -> None:
    users = {
        path.name
        for name, path in MODULES.items()
        if {other.split(".")[0] for other in imported(path)} & {"faust", "mode"}
    }
    assert users == {"faust_app.py", "faust_transport.py", "faust_thread.py"}


@pytest.mark.parametrize(("package", "most"), [("streams", 8), ("detectors", 11)])
def test_the_root_of_a_package_holds_few_modules(package: str, most: int) -> None:
    """Detectors do not count: whoever adds one need not make room for it."""
    names = {f"{package}.{path.stem}" for path in (ROOT / package).glob("*.py")}
    assert len(names - {target.partition(":")[0] for target in BUILT_IN.values()}) <= most


def test_no_module_is_too_long_to_read_at_once() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


@pytest.mark.parametrize("role", ["watch", "archive"])
def test_only_the_guard_loads_detectors_and_what_they_need(role: str) -> None:
    """They took 130 MB of the memory of watch."""
    code = f"import sys, streams.roles.run, streams.roles.{role}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names = set(loaded.split())
    assert f"streams.roles.{role}" in names
    assert not names & {"pandas", "scipy", "sklearn", "pyarrow", "onnxruntime", "tokenizers"}
    assert {name for name in names if name.startswith("detectors.")} <= {"detectors.errors"}
