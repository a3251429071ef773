"""`weir up`: everything on one machine, supervised, stopped cleanly, gone when it is killed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from schemas import topics
from streams.local.process import HOST, free_port
from streams.roles import PROCESSES
from tests.harness import Weir, make_events, wait_until


class Up:
    """A `weir up` on ports of its own."""

    def __init__(self, directory: Path, **options: str) -> None:
        self.directory = directory
        self.weir = Weir(
            f"{HOST}:{free_port()}",
            directory,
            **{f"WEIR_{n.upper()}_PORT": str(free_port()) for n in PROCESSES},
            WEIR_GATE_LISTEN=f"{HOST}:{free_port()}",
            WEIR_DESK_LISTEN=f"{HOST}:{free_port()}",
            **options,
        )
        self.output = ""
        self.process: subprocess.Popen[str] | None = None
        self.banner = ""

    def start(self) -> None:
        command = [sys.executable, "-m", "streams", "up", "--data", str(self.directory / "data")]
        self.process = subprocess.Popen(
            command, env=self.weir.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.output = ""
        self.await_line("ready: ")
        self.banner = self.output

    def await_line(self, said: str) -> None:
        """Read on to a line that holds `said`; the time limit of the test ends the waiting."""
        assert self.process is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if said in line:
                return
        pytest.fail(self.output)

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
        assert self.process.stdout is not None
        self.process.send_signal(number)
        self.output += self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(60)


def gone(pids: dict[str, int]) -> bool:
    return not any(alive(pid) for pid in pids.values())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with started(tmp_path) as running:
        yield running


@contextmanager
def started(folder: Path, **options: str) -> Iterator[Up]:
    running = Up(folder, **options)
    try:
        running.start()
        yield running
    finally:
        if running.process is not None and running.process.stdout is not None:
            running.process.kill()
            running.process.stdout.close()
            running.process.wait()


def test_rows_survive_a_restart_and_ctrl_c_leaves_nothing(up: Up) -> None:
    before = up.children()
    assert set(before) == {"broker", "store", *PROCESSES}
    up.weir.publish(make_events("first", 50))
    token = up.directory / "data" / "clickhouse" / "token"
    assert f"user default, password in {token}" in up.banner, "not the token itself: the output is a file"
    assert up.weir.run("sql", "SELECT 1")[0] == 0, "weir finds the token by itself"
    assert up.stop() == 0, "Ctrl-C lets the roles finish"
    assert gone(before)
    up.start()
    up.weir.await_rows("first", 50)
    up.weir.publish(make_events("first", 60))
    up.weir.await_rows("first", 60)
    assert up.stop(signal.SIGTERM) == 0


def test_what_dies_is_started_again_a_second_one_is_refused_and_killed_it_takes_all_with_it(
    tmp_path: Path,
) -> None:
    # What is not finished, once it is killed; and a proxy, which knows no server of this machine.
    with started(tmp_path, WEIR_DRAIN_TIMEOUT_S="2", http_proxy=f"http://{HOST}:9") as up:
        check_what_dies_and_a_second_one(up)
        children = up.children()
        assert up.stop(signal.SIGKILL) == -signal.SIGKILL
        wait_until(lambda: gone(children), "nothing is left")


def check_what_dies_and_a_second_one(up: Up) -> None:
    environment = {f"WEIR_{n.upper()}_PORT": str(free_port()) for n in PROCESSES}
    for folder, word in (("data", "is running in"), ("other", up.weir.kafka.rpartition(":")[2])):
        status, output = up.weir.run("up", "--data", str(up.directory / folder), **environment)
        assert status == 1
        assert "Traceback" not in output
        assert word in output
    first = up.children()
    for name in (*PROCESSES, "store", "broker"):
        os.kill(first[name], signal.SIGKILL)
    wait_until(
        lambda: set(up.children()) == set(first) and gone({n: first[n] for n in PROCESSES}), "all again"
    )
    up.weir.publish(make_events("again", 100))
    up.weir.await_rows("again", 100)
    assert len(up.weir.read(topics.DECISIONS)) >= 100


def test_a_refused_policy_and_what_is_not_finished_at_the_end_are_told(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    text = "version: '1'\nname: mine\nrules:\n  - {id: a, when: [injection >= 0.9], action: flag}\n"
    policy.write_text(text)
    options = {"WEIR_DRAIN_TIMEOUT_S": "0.5", "WEIR_BATCH_EVENTS": "1"}
    with started(tmp_path, WEIR_POLICY=str(policy), **options) as up:
        policy.write_text(text.replace("0.9", "90"))
        up.await_line("guard refuses the new policy")
        doctor = up.weir.run("doctor")[1]
        policy.write_text(text.replace("0.9", "0.8"))
        up.await_line("guard is no longer degraded")
        up.weir.publish(make_events("waiting", 3_000))
        up.stop()
    problem = f"{policy}:4: injection is between 0 and 1: >= 90 never holds; did you mean 0.9?"
    assert f"guard refuses the new policy; the last good one stays in force:\n{problem}\n" in up.output
    assert "guard is no longer degraded: policy" in up.output
    assert "runs: degraded (policy)" in doctor
    assert problem in " ".join(doctor.split())
    (waiting,) = re.findall(r"^not finished.*guard ([\d,]+) messages", up.output, re.MULTILINE)
    assert 0 < int(waiting.replace(",", "")) <= 3_000
    assert re.search(
        "lost with the embedded broker's memory|the broker keeps them for the next start", up.output
    )
    assert "Traceback" not in up.output


@pytest.mark.parametrize(("command", "delay"), [("up", 0.3), ("up", 1.5), ("guard", 0.5), ("guard", 1.5)])
def test_ctrl_c_while_starting_ends_it_quietly(tmp_path: Path, command: str, delay: float) -> None:
    up = Up(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "streams", command],
        cwd=tmp_path, env=up.weir.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    if "ready: publish" not in output:  # else it was quicker than the signal
        assert process.returncode in (130, -signal.SIGINT)  # the latter before Python itself has started
    assert "Aborted" not in output
    assert "Traceback" not in output
