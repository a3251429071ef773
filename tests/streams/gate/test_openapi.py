"""The OpenAPI file is made from the code, and describes every endpoint."""

import json
import runpy
from pathlib import Path

import pytest

from streams.gate.keys import Keys
from streams.gate.openapi import document
from tests.streams.gate.test_server import Running

ROOT = Path(__file__).parents[3]


def test_the_file_is_up_to_date() -> None:
    _, before, after = runpy.run_path(str(ROOT / "docs" / "generate.py"))["openapi"]()
    assert before == after, "run `make docs`"


async def test_every_route_is_described_and_nothing_else(tmp_path: Path) -> None:
    async with Running(tmp_path, Keys(None)) as gate:
        routes = [route for route in gate.application.router.routes() if route.resource]
        served = {(route.resource.canonical, route.method.lower()) for route in routes if route.resource}
    assert served == {(path, method) for path, methods in document()["paths"].items() for method in methods}


@pytest.mark.parametrize("word", ["$defs", "streams/", "/home"])
def test_it_refers_to_nothing_outside(word: str) -> None:
    assert word not in json.dumps(document())
