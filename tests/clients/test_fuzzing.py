"""Requests made from the OpenAPI file, valid and invalid ones: WEIR_TEST_FUZZ says how many per endpoint."""

import os
from pathlib import Path

import pytest

from tests.clients.conftest import ROOT, Run
from tests.harness import Role

EXAMPLES = os.environ.get("WEIR_TEST_FUZZ", "15")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.timeout(60 + int(EXAMPLES))
def test_the_gate_keeps_its_description_and_never_fails(
    run: Run, client_python: Path, gate: tuple[Role, str], tmp_path: Path
) -> None:
    role, url = gate
    before = role.log.read_text()
    done = run(
        str(client_python.parent / "schemathesis"),
        *("run", str(ROOT / "docs" / "openapi.json"), "--url", url, "--checks", CHECKS, "--no-color"),
        *("--phases", "fuzzing", "--max-examples", EXAMPLES, "--generation-database", "none", "--seed", "1"),
        *("--suppress-health-check", "all", "--request-timeout", "20"),
        cwd=tmp_path,
        within_s=60 + int(EXAMPLES),
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert role.log.read_text() == before, "nothing of a request is logged"
