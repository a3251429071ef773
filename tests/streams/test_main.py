"""The process that `weir` is."""

import os
import subprocess
import sys

import pytest

from streams.__main__ import reach_this_machine

SCRIPT = """
import sys
from streams.__main__ import main
sys.argv = ["weir", "--version"]
try:
    main()
except SystemExit:
    pass
import sklearn
from threadpoolctl import threadpool_info
print({each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"})
"""


def test_a_blas_takes_one_thread_unless_told_otherwise() -> None:
    def threads(**said: str) -> str:
        plain = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=plain | said, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()[-1]

    assert threads() == "{1}"
    assert threads(OPENBLAS_NUM_THREADS="2") == "{2}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "a.example"}, "a.example,127.0.0.1,localhost,::1"),
        ({"no_proxy": "b.example", "NO_PROXY": "a.example"}, "b.example,127.0.0.1,localhost,::1"),
        ({"no_proxy": "*"}, "*"),
    ],
)
def test_no_proxy_stands_before_this_machine(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")  # put back after the test
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    reach_this_machine()
    assert os.environ["no_proxy"] == expected


def test_a_closed_stdout_is_no_fault() -> None:
    command = f"{sys.executable} -m streams schema event >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
