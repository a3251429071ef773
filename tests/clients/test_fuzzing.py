"""Requests made from the OpenAPI file, valid and invalid ones: WEIR_TEST_FUZZ says how many per endpoint.

Most of the time goes into making the requests, on one core; so two processes share the endpoints.
WEIR_TEST_FUZZ_PATH names those that are asked, all by default.
"""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.conftest import ROOT, Run
from tests.harness import Role

EXAMPLES = int(os.environ.get("WEIR_TEST_FUZZ", "15"))
CHECKS = (
    "status_code_conformance,content_type_conformance,response_schema_conformance,"
    "fails_never,repeats_nothing"  # of tests/clients/fuzz_hooks.py
)
OPENAPI = ROOT / "docs" / "openapi.json"
PATHS = sorted(json.loads(OPENAPI.read_text())["paths"])
ONLY = os.environ.get("WEIR_TEST_FUZZ_PATH", "").split() or PATHS
SAID = {
    "calls of models come without their texts",
    "messages wait in the outbox",
    "a topic is not read; it is tried again",
}
"""What the log may say meanwhile: nothing of a request, and that there is no broker."""
AT_ONCE = 2
WITHIN_S = 120 + EXAMPLES * len(ONLY) // 10


@pytest.mark.timeout(WITHIN_S + 60)
def test_the_gate_keeps_its_description_and_never_fails(
    run: Run, client_python: Path, gate: tuple[Role, str], tmp_path: Path
) -> None:
    role, url = gate
    before = role.log.read_text()

    def fuzz(paths: list[str]) -> "subprocess.CompletedProcess[str]":
        return run(
            str(client_python.parent / "schemathesis"),
            *("run", str(OPENAPI), "--url", url, "--checks", CHECKS, "--no-color", "--seed", "1"),
            *("--phases", "fuzzing", "--max-examples", str(EXAMPLES), "--generation-database", "none"),
            *("--suppress-health-check", "all", "--request-timeout", "20"),
            *(word for path in paths for word in ("--include-path", path)),
            cwd=tmp_path,
            within_s=WITHIN_S,
            SCHEMATHESIS_HOOKS="fuzz_hooks",
            PYTHONPATH=str(Path(__file__).parent),
        )

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in pool.map(fuzz, filter(None, (ONLY[part::AT_ONCE] for part in range(AT_ONCE)))):
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    lines = role.log.read_text().removeprefix(before).splitlines()
    assert {json.loads(line)["event"] for line in lines} <= SAID, "nothing of a request is logged"
