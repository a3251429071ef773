"""The embedded store: `python -m streams.local.clickhouse --path DIRECTORY --port PORT`.

chDB allows one process per data directory; this process owns it and serves everyone else over
ClickHouse's HTTP interface on 127.0.0.1, to whoever knows the token in `DIRECTORY/token`.
"""

import argparse
import asyncio
import fcntl
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.errors import WeirError
from streams.local.process import HOST, Child, LocalServiceError, require_port
from streams.local.sandbox import confine
from streams.store.token import FILE_NAME, make_token
from streams.telemetry.client import get

_NAME = "The embedded store"
_DRAIN_SECONDS = 10.0
_ENVIRONMENT = re.compile(r"(PATH|HOME|USER|TZ|TMPDIR|VIRTUAL_ENV|LANG|LC_\w+|PYTHON\w+|LD_\w+|DYLD_\w+)\Z")


def start_clickhouse(
    path: Path, port: int, *, setting: str = "WEIR_CLICKHOUSE", timeout: float = 60.0
) -> Child:
    """Start the store on `path` as a child process and block until it answers.

    It listens on http://127.0.0.1:`port`, logs to `clickhouse.log` in `path` and ends with the calling
    thread. `LocalServiceError` says what to do when it cannot start; `setting` names the port's setting.
    """
    require_port(port, _NAME, setting)
    with _lock(path):
        pass  # free now: the child's own lock decides, this one makes the message immediate
    command = [sys.executable, "-m", "streams.local.clickhouse", "--path", str(path), "--port", str(port)]
    # Nothing of the environment that a statement could want to see: passwords are there.
    environment = {name: value for name, value in os.environ.items() if _ENVIRONMENT.match(name)}
    child = Child(
        _NAME, command, path / "clickhouse.log", death_signal=signal.SIGTERM, environment=environment
    )
    child.start(lambda: answers(port), timeout)
    return child


def answers(port: int) -> bool:
    """Whether a ClickHouse HTTP interface on 127.0.0.1 answers a ping."""
    try:
        return get(f"{HOST}:{port}", "/ping", 1.0).body == b"Ok.\n"
    except OSError:
        return False


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the data directory; `LocalServiceError` names the process that holds it already."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / "weir.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LocalServiceError(f"{_NAME}: cannot use the data directory {path}: {error.strerror}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode() or "unknown"
        raise LocalServiceError(
            f"{_NAME}: the data directory {path} is in use by process {holder}. "
            "Stop that one, or choose another directory."
        ) from None
    finally:
        os.close(descriptor)


class _OneLine(logging.Filter):
    """Lets what a client did wrong be said in one line: the traceback would be one of aiohttp."""

    def filter(self, record: logging.LogRecord) -> bool:
        from aiohttp.http_exceptions import HttpProcessingError

        if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
            record.msg, record.args = f"A request that is no HTTP was refused: {record.exc_info[0]}", ()
            record.exc_info = record.exc_text = None
        return True


async def serve(path: Path, port: int, memory: int) -> None:
    """Serve `path` until SIGTERM or SIGINT; `memory` bounds what queries use, in bytes."""
    from aiohttp import web

    # Before the engine, which starts threads when it is imported, and opens a database of no name.
    os.environ["TMPDIR"] = str(path)
    confine(path)
    from streams.local.engine import Engine
    from streams.local.http import application

    logging.getLogger("aiohttp.server").addFilter(_OneLine())
    token = make_token(path)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        engine = Engine(path, memory)
    except Exception as error:  # ClickHouse's own, of many classes
        raise WeirError(f"{error}".strip().split("\n")[0]) from None
    runner = web.AppRunner(
        application(engine, token, path / FILE_NAME),
        access_log=None,
        auto_decompress=False,
        shutdown_timeout=_DRAIN_SECONDS,
    )
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    await stop.wait()
    # A query that will not end must not keep the process: the data is as safe as after a kill.
    last_resort = threading.Timer(_DRAIN_SECONDS + 2, os._exit, (0,))
    last_resort.daemon = True
    last_resort.start()
    await runner.cleanup()
    engine.close()


def main(argv: list[str] | None = None) -> int:
    """Run the server; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m streams.local.clickhouse", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="data directory, made when missing")
    parser.add_argument("--port", type=int, default=8123, help="port on 127.0.0.1 (default 8123)")
    parser.add_argument("--memory", type=int, default=2048, help="memory for queries, MiB (default 2048)")
    options = parser.parse_args(argv)
    path = options.path.resolve()
    try:
        require_port(options.port, _NAME, "--port")
        with _lock(path):
            asyncio.run(serve(path, options.port, options.memory << 20))
    except LocalServiceError as error:
        print(error, file=sys.stderr)
        return 2
    except (WeirError, OSError) as error:  # of its files: it says which
        print(f"{_NAME} cannot run on {path}: {error}", file=sys.stderr)
        return 1
    except ImportError as error:
        advice = "`pip install '.[local]'` in the checkout of weir"
        print(f"{_NAME} is not installed ({error}): {advice}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
