"""The packages depend on each other in one direction only."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {"schemas": {"schemas"}, "detectors": {"schemas", "detectors"}}
FOREIGN = {
    "schemas": {"asyncio", "aiokafka", "faust", "clickhouse_connect", "aiohttp"},
    "detectors": {"asyncio", "aiokafka", "faust", "clickhouse_connect", "aiohttp"},
}
OURS = {"schemas", "detectors", "streams", "tests", "bench", "examples"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        names = imported(path)
        assert names & OURS <= ALLOWED[package], path
        assert not names & FOREIGN[package], path


def test_only_two_modules_know_faust() -> None:
    users = {p.name for p in (ROOT / "streams").rglob("*.py") if imported(p) & {"faust", "mode"}}
    assert users == {"faust_worker.py", "faust_transport.py"}
