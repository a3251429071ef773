"""Runs the command line in this process, or as a process of its own."""

import subprocess
import sys
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from streams.cli import weir


class Outcome(NamedTuple):
    """What a user sees."""

    code: int
    out: str
    err: str


def run(*arguments: str, stdin: str | bytes | None = None) -> Outcome:
    """Run `weir` with `arguments`; an exception that no user is meant to see is raised."""
    result = CliRunner().invoke(weir, list(arguments), input=stdin, prog_name="weir")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def start(*arguments: str) -> "subprocess.Popen[str]":
    """Start `weir` as a process whose output can be read."""
    return subprocess.Popen(
        [sys.executable, "-m", "streams", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def forget_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    import os

    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(str(tmp_path))
