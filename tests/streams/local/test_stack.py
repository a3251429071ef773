"""`weir up` goes on without a role that stopped because it was asked to."""

import resource
import shutil
import sys
import time
from pathlib import Path

import pytest

from streams.errors import DEAD_LETTERS, USAGE
from streams.local import stack as stack_module
from streams.local.files import require_files
from streams.local.folder import DataFolder
from streams.local.process import Child, LocalServiceError
from streams.local.stack import Stack
from streams.settings import Settings


def ended(status: int, directory: Path) -> Child:
    child = Child("guard", [sys.executable, "-c", f"exit({status})"], directory / "log")
    child.start(lambda: True)
    assert child._process is not None
    child._process.wait(10)
    return child


def test_a_role_that_stopped_for_dead_letters_ends_nobody_else(tmp_path: Path) -> None:
    said: list[str] = []
    stack = Stack(Settings(_env_file=None), tmp_path, said.append, broker=False, store=False)
    started: list[str] = []
    for status in (DEAD_LETTERS, 1):
        stack._roles["guard"] = ended(status, tmp_path)
        stack._revive("guard", stack._roles["guard"], lambda: started.append("guard"))
    assert "weir dlq list" in said[0]
    assert started == ["guard"], "after a crash, and not after the limit"
    with pytest.raises(LocalServiceError, match="exit status 2"):
        stack._revive("guard", ended(USAGE, tmp_path), lambda: None)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "weir.lock").symlink_to("/dev/full")
    stack = Stack(Settings(_env_file=None), tmp_path, print, broker=False, store=False)
    with pytest.raises(LocalServiceError, match=rf"cannot write to {tmp_path}: "):
        stack.start([])


def test_too_few_open_files_are_said_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    with pytest.raises(LocalServiceError, match=r"64 files open .*need 2\d\d: .*`ulimit -Hn 2\d\d` as root"):
        Stack(Settings(_env_file=None), tmp_path / "data", said.append).start([])
    assert (said, list(tmp_path.iterdir())) == ([], [])
    for most in (resource.RLIM_INFINITY, 256):
        monkeypatch.setattr(resource, "getrlimit", lambda _, most=most: (64, most))
        require_files(4)
    with pytest.raises(LocalServiceError, match="256 files"):
        require_files(64)


@pytest.mark.parametrize("lost", ["weir.lock", "broker/lock", "clickhouse"])
@pytest.mark.parametrize("made_anew", [True, False])
def test_a_folder_that_goes_while_weir_runs_ends_it(tmp_path: Path, lost: str, made_anew: bool) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.hold()
    for name in ("broker/lock", "clickhouse/weir.lock"):
        (folder.path / name).parent.mkdir()
        (folder.path / name).touch()
    folder.note()
    folder.require()
    gone = folder.path / lost
    gone.rename(tmp_path / "moved")
    if made_anew:
        shutil.copytree(tmp_path / "moved", gone) if lost == "clickhouse" else gone.touch()
    with pytest.raises(LocalServiceError, match=r"was removed or moved .*Put the folder back"):
        folder.require()
    folder.release()


def test_a_log_that_is_gone_has_no_end(tmp_path: Path) -> None:
    child = ended(1, tmp_path)
    child.log.unlink()
    assert child.log_tail() == ""


SLOW_TO_END = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1.5), sys.exit(0)))
print("up", flush=True)
signal.pause()
"""


def test_roles_end_at_the_same_time_and_what_still_runs_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_module, "SLOW_S", 0.3)
    said: list[str] = []
    stack = Stack(Settings(_env_file=None), tmp_path, said.append, broker=False, store=False)
    ends: list[int | None] = []
    for name in ("watch", "archive", "desk"):
        child = Child(name, [sys.executable, "-c", SLOW_TO_END], tmp_path / f"{name}.log")
        child.start(lambda child=child: "up" in child.log_tail())  # type: ignore[misc]
        stack._roles[name] = child
        stop = child.stop
        monkeypatch.setattr(child, "stop", lambda grace, stop=stop: ends.append(stop(grace)))
    monkeypatch.setattr(stack, "_drain", lambda *_: {})
    began = time.monotonic()
    stack.stop()
    assert time.monotonic() - began < 4.0, "one after the other they take 4.5 s"
    assert ends == [0, 0, 0], "none is cut off"
    assert said == ["watch still runs: it finishes what it has"]


def test_what_is_still_to_finish_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack_module, "SLOW_S", 0.1)
    said: list[str] = []
    settings = Settings(_env_file=None, drain_timeout_s=2.5)
    stack = Stack(settings, tmp_path, said.append, broker=False, store=False)
    monkeypatch.setattr(stack, "_health", lambda _: 7)
    assert stack._drain("archive") == {"archive": 7}, "for a bounded time"
    assert said == ["still to finish: archive 7 messages"]
