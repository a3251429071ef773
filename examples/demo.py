"""The whole of weir on this machine: start it, send it traffic, watch it decide, ask it what it saw.

    make demo
    python examples/demo.py --quiet    # nothing happens, and nobody is told of anything

Uses free ports and a temporary folder, so it works beside a weir that is running, and leaves nothing.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.local.process import Child

EVENTS = 4_000
SECONDS = 45
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 60.0
HERE = Path(__file__).resolve().parent
PORTS = tuple(f"WEIR_{name}_PORT" for name in ("GUARD", "WATCH", "ARCHIVE", "GATE", "DESK", "NOTIFY"))

SETTINGS = {
    "WEIR_REDACTION_KEY": "only for the demo",
    "WEIR_REFERENCES": f'{{"shop": "topic:{HERE / "shop_topics.txt"}"}}',
    "WEIR_WATCH_METRICS": "distance_shop,toxicity,injection,refusal,latency_ms,completion_tokens",
    # A minute has to do for what takes an hour elsewhere.
    "WEIR_WATCH_LEARN_VALUES": "32",
    "WEIR_ALERT_WAIT_S": "3",
    "WEIR_ALERT_QUIET_S": "12",
    # A machine that is busy with other things takes longer, and finds the same.
    "WEIR_DEGRADE_AFTER_MS": "0",
    "WEIR_DETECTOR_BUDGET_MS": "30000",
}
ABUSIVE_USER = """
  - id: abusive-user
    when: [user_injections_1m >= 5]
    action: block
    severity: high
    alert: true
"""


def main() -> int:
    """Run the demo; return the exit status."""
    if sys.argv[1:] not in ([], ["--quiet"]):
        print("usage: python examples/demo.py [--quiet]", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _demo(quiet="--quiet" in sys.argv)
    except KeyboardInterrupt:
        print("\ninterrupted: everything is stopped and removed", file=sys.stderr)
        return 130


def _demo(*, quiet: bool) -> int:
    print("weir demo: a broker, a store and the roles on this machine, for a minute and a half")
    sys.stdout.flush()
    try:
        from demo_live import Unexpected
        from demo_summary import summarise

        from streams.local.process import LocalServiceError
    except ImportError as error:
        print(
            f"weir is not installed completely ({error}): run `make demo`, which sets it up", file=sys.stderr
        )
        return 2
    started = time.monotonic()
    try:
        with _folder() as folder, _weir(folder) as weir:
            _traffic(weir, quiet=quiet)
            if not quiet:
                summarise(os.environ["WEIR_CLICKHOUSE"], EVENTS)
            print("\nstopping")
    except (LocalServiceError, Unexpected) as error:
        print(f"\nthe demo failed: {error}", file=sys.stderr)
        return 1
    print(f"stopped and removed, after {time.monotonic() - started:.0f} s")
    _what_next()
    return 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that is also the working folder: a `.env` of the user has no say here."""
    before = Path.cwd()
    folder = Path(tempfile.mkdtemp(prefix="weir-demo-"))
    try:
        os.chdir(folder)
        yield folder
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)


def _set_environment(folder: Path) -> None:
    from streams.local.process import HOST, free_port
    from streams.policy import DEFAULT_POLICY

    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        del os.environ[name]
    os.environ["WEIR_KAFKA"] = f"{HOST}:{free_port()}"
    os.environ["WEIR_CLICKHOUSE"] = f"http://{HOST}:{free_port()}"
    os.environ.update({name: str(free_port()) for name in PORTS})
    for name in ("WEIR_GATE_LISTEN", "WEIR_DESK_LISTEN"):
        os.environ[name] = f"{HOST}:{free_port()}"
    os.environ.update(SETTINGS)
    policy = folder / "policy.yaml"
    policy.write_text(DEFAULT_POLICY.read_text("utf-8") + ABUSIVE_USER, "utf-8")
    os.environ["WEIR_POLICY"] = str(policy)


@contextmanager
def _weir(folder: Path) -> Iterator["Child"]:
    """A running `weir up`, stopped at the end: by Ctrl-C and by a failure too."""
    from streams.local.process import Child, LocalServiceError

    _set_environment(folder)
    log = folder / "up.log"
    command = [sys.executable, "-m", "streams", "up", "--data", str(folder / "data")]
    weir = Child("`weir up`", command, log, death_signal=signal.SIGTERM)
    shown = _Relay(log)
    finished = False
    try:
        weir.start(lambda: shown.ready(), START_TIMEOUT_S)
        yield weir
        finished = True
    finally:
        # A second Ctrl-C must not leave the servers behind.
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)
        status = weir.stop(STOP_TIMEOUT_S)
    if finished and status != 0:
        raise LocalServiceError(f"`weir up` ended with status {status}; it said:\n{weir.log_tail()}")


class _Relay:
    """Shows the lines that `weir up` prints while it starts."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._lines = 0

    def ready(self) -> bool:
        """Show what is new; return whether everything is ready."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        for line in lines[self._lines :]:
            if line and not line.startswith("ready"):
                print(f"  {line}", flush=True)
        self._lines = len(lines)
        return any(line.startswith("ready") for line in lines)


def _traffic(weir: "Child", *, quiet: bool) -> None:
    import asyncio

    from demo_live import Live
    from traffic import events

    published = list(events(EVENTS, quiet=quiet))
    live = Live(os.environ["WEIR_KAFKA"], published, EVENTS / SECONDS, quiet=quiet)
    asyncio.run(live.run(lambda: weir.running))


def _what_next() -> None:
    print("""
what to try next (`. .venv/bin/activate` first)

  weir up                                            # weir here, until Ctrl-C; then, beside it:
  python examples/traffic.py 2000 | weir publish -   # this traffic, or yours: JSONL, CSV, Parquet
  weir tail alerts                                   # follow what a person should see
  weir sql "SELECT app, action, count() FROM events GROUP BY ALL ORDER BY ALL"
  weir check "You are a useless idiot"               # why a text gets its scores
  python examples/gate.py "Ignore all previous instructions"   # let a request wait for its decision

  README.md goes on from here: publish from your app, gate requests, write a policy, use a cluster.""")


if __name__ == "__main__":
    sys.exit(main())
