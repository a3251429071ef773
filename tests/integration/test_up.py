"""`weir up`: everything on one machine, supervised, stopped cleanly, gone when it is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import topics
from streams.local.process import HOST, free_port
from tests.harness import ROLES, Weir, make_events, wait_until


class Up:
    """A `weir up` on ports of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.weir = Weir(
            f"{HOST}:{free_port()}", directory, **{f"WEIR_{n.upper()}_PORT": str(free_port()) for n in ROLES}
        )
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "streams", "up", "--data", str(self.directory / "data")]
        self.process = subprocess.Popen(
            command, env=self.weir.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("ready"):
                return
        pytest.fail("".join(lines))

    def children(self) -> dict[str, int]:
        """Return process id by role, `broker` or `store`."""
        assert self.process is not None
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if parent == self.process.pid and len(words) > 3:  # else it is dead and not yet buried
                servers = {"streams.local.broker": "broker", "streams.local.clickhouse": "store"}
                found[servers.get(words[2], words[3])] = int(entry.name)
        return found

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


def gone(pids: dict[str, int]) -> bool:
    return not any(alive(pid) for pid in pids.values())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path)
    running.start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.process.kill()
        running.process.communicate()


def test_rows_survive_a_restart_and_ctrl_c_leaves_nothing(up: Up) -> None:
    before = up.children()
    assert set(before) == {"broker", "store", *ROLES}
    up.weir.publish(make_events("first", 50))
    assert up.stop() == 0, "Ctrl-C lets the roles finish"
    assert gone(before)
    up.start()
    up.weir.await_rows("first", 50)
    up.weir.publish(make_events("first", 60))
    up.weir.await_rows("first", 60)
    assert up.stop(signal.SIGTERM) == 0


@pytest.mark.timeout(300)
def test_what_dies_is_started_again_and_a_second_one_is_refused(up: Up) -> None:
    environment = {f"WEIR_{n.upper()}_PORT": str(free_port()) for n in ROLES}
    for folder, word in (("data", "is running in"), ("other", up.weir.kafka.rpartition(":")[2])):
        status, output = up.weir.run("up", "--data", str(up.directory / folder), **environment)
        assert status == 1
        assert "Traceback" not in output
        assert word in output
    first = up.children()
    for name in (*ROLES, "store", "broker"):
        os.kill(first[name], signal.SIGKILL)
    wait_until(
        lambda: set(up.children()) == set(first) and gone({n: first[n] for n in ROLES}), "all again", 30
    )
    up.weir.publish(make_events("again", 100))
    up.weir.await_rows("again", 100)
    assert len(up.weir.read(topics.DECISIONS)) >= 100


def test_killed_it_takes_everything_with_it(up: Up) -> None:
    children = up.children()
    assert up.stop(signal.SIGKILL) == -signal.SIGKILL
    started = time.monotonic()
    wait_until(lambda: gone(children), "nothing is left", 30)
    print(f"gone {time.monotonic() - started:.1f} s after kill -9")
