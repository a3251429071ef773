"""The process that `weir` is."""

import os
import subprocess
import sys

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


def test_a_closed_stdout_is_no_fault() -> None:
    command = f"{sys.executable} -m streams schema event >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
