import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.local import tether
from streams.local.process import HOST, Child, LocalServiceError, free_port, require_port

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
PARENT = """
import signal, sys
from pathlib import Path
from streams.local.broker import Broker
from streams.local.clickhouse import start_clickhouse
from streams.local.process import free_port
broker = Broker(free_port(), Path(sys.argv[1])); broker.start()
store = start_clickhouse(Path(sys.argv[1]) / "store", free_port())
print(broker.child.pid, store.pid, flush=True)
signal.pause()
"""


def child(tmp_path: Path, command: list[str]) -> Child:
    return Child("The server", command, tmp_path / "server.log")


def gone(pid: int, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":  # dead; only its new parent has not asked yet
            return True
        time.sleep(0.05)
    return False


def test_starts_logs_and_stops(tmp_path: Path) -> None:
    server = child(tmp_path, SLEEP)
    server.start(lambda: server.log.read_text() == "up\n")
    assert server.running
    assert server.returncode is None
    assert server.stop() == -signal.SIGTERM
    assert not server.running
    assert server.log_tail() == "up"


def test_it_may_open_more_files_than_its_parent() -> None:
    """Some systems begin with 256: a broker that has no more refuses to make topics."""
    shown = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    start = f"ulimit -Sn 128; ulimit -Hn 3000; exec {sys.executable} -I {tether.__file__} {os.getpid()} 9"
    done = subprocess.run(
        ["/bin/sh", "-c", f'{start} {sys.executable} -c "{shown}"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["3000", "3000"]


def test_stop_is_bounded_for_a_child_that_ignores_sigterm(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    server = child(tmp_path, [sys.executable, "-c", deaf])
    server.start(lambda: bool(server.log.read_text()))
    assert server.stop(grace=0.2) == -signal.SIGKILL


def test_a_child_that_ends_at_its_start_shows_its_log(tmp_path: Path) -> None:
    server = child(tmp_path, [sys.executable, "-c", "print('no disk'); raise SystemExit(3)"])
    with pytest.raises(LocalServiceError, match=r"exit status 3.*\n?.*no disk"):
        server.start(lambda: False)


def test_a_child_that_never_answers_is_stopped(tmp_path: Path) -> None:
    server = child(tmp_path, SLEEP)
    with pytest.raises(LocalServiceError, match="did not answer"):
        server.start(lambda: False, timeout=0.3)
    assert not server.running


def test_a_free_port_is_none_that_a_connection_may_take_and_is_given_once() -> None:
    given = [free_port() for _ in range(50)]
    assert len(set(given)) == 50
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(given) < lowest


def test_a_port_in_use_names_the_port_and_the_setting() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalServiceError, match=f"port {port} .* with WEIR_X"):
            require_port(port, "The server", "WEIR_X")
    require_port(free_port(), "The server", "WEIR_X")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_nothing_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        for pid in pids:
            os.kill(pid, 0)
        parent.kill()
        parent.wait()
        assert all(gone(pid, within=60) for pid in pids)
