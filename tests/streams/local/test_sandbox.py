"""The kernel's word: what the store's process may not do, whatever a statement makes it try."""

import subprocess
import sys
from pathlib import Path

import pytest

TRIES = """
import pathlib, socket, subprocess, sys
from streams.local.sandbox import confine

data = pathlib.Path(sys.argv[1])
print("confined", confine(data / "data"))


def tried(name, action):
    try:
        action()
    except PermissionError:
        print(name, "refused")
    except ConnectionRefusedError:
        print(name, "done")
    else:
        print(name, "done")


tried("own file", lambda: (data / "data" / "new").write_text("x"))
tried("own folder", lambda: (data / "data" / "a" / "b").mkdir(parents=True))
tried("library", lambda: __import__("wave"))
tried("read", lambda: pathlib.Path("/etc/passwd").read_text())
tried("read beside", lambda: (data / "secret").read_text())
tried("write beside", lambda: (data / "new").write_text("x"))
tried("move here", lambda: (data / "secret").rename(data / "data" / "secret"))
tried("list", lambda: list(pathlib.Path.home().iterdir()))
tried("run", lambda: subprocess.run(["/bin/true"], check=True))
tried("connect", lambda: socket.create_connection(("127.0.0.1", 1), timeout=5))
tried("other process", lambda: pathlib.Path("/proc/1/environ").read_text())
"""


def test_a_confined_process_reaches_its_folder_only(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "secret").write_text("never to be read")
    done = subprocess.run(
        [sys.executable, "-c", TRIES, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    confined, *lines = done.stdout.splitlines()
    if confined == "confined False":
        pytest.skip("this kernel has no Landlock")
    found = dict(line.rsplit(" ", 1) for line in lines)
    assert {name for name, what in found.items() if what == "done"} <= {
        "own file", "own folder", "library", "connect",
    }  # fmt: skip
    assert found["own file"] == found["own folder"] == found["library"] == "done"
    assert not (tmp_path / "new").exists()
