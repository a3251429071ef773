"""The brokers that the tests run on: the embedded one, and Apache Kafka where it is present."""

import os
import shutil
from pathlib import Path
from typing import Protocol

from streams.local.broker import Broker, answers
from streams.local.process import HOST, Child, free_port

APACHE = Path(os.environ.get("WEIR_TEST_KAFKA") or Path(__file__).parents[2] / "shared" / "kafka")
"""Folder with a start script `run DIR PORT` for Apache Kafka."""


_JAVA = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:CICompilerCount=1"}
"""It runs for a minute or two: the compiler that makes it fast in the long run costs more than it saves."""
_formatted: dict[str, bytes] = {}
"""The files of a formatted folder, once there is one: the next ones need no JVM of their own for it."""
_FORMAT_FILES = ("meta.properties", "bootstrap.checkpoint")


class KafkaBroker(Protocol):
    """A broker for one test session."""

    address: str

    @property
    def child(self) -> Child:
        """The process."""
        ...

    def start(self) -> None: ...

    def stop(self) -> int | None: ...

    def kill(self) -> None: ...


def apache_missing() -> str:
    """Return why Apache Kafka cannot be started; empty when it can."""
    if not (APACHE / "run").is_file():
        return "Apache Kafka is not here: name its folder in WEIR_TEST_KAFKA"
    return "" if shutil.which("java") else "Apache Kafka needs java on the PATH"


class ApacheKafka:
    """One node of Apache Kafka; what it holds is in `directory` and survives a crash."""

    def __init__(self, directory: Path, extra: str = "") -> None:
        """`extra` are lines of the broker's settings; `{port}` in them is replaced."""
        self.port = _free_pair()
        self.address = f"{HOST}:{self.port}"
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "extra.properties").write_text(
            extra.replace("{port}", str(self.port)).replace("{controller}", str(self.port + 1))
        )
        self._child = self._new_child()

    @property
    def child(self) -> Child:
        """The process."""
        return self._child

    def _new_child(self) -> Child:
        # The script ends in exec, so that the child is the JVM itself.
        command = ["/bin/sh", str(APACHE / "run"), str(self.directory), str(self.port)]
        environment = {**_JAVA, **os.environ}
        return Child("Apache Kafka", command, self.directory / "kafka.log", environment=environment)

    def start(self) -> None:
        """Start, again on the same log after a stop or a crash, and wait until it answers."""
        log = self.directory / "log"
        if _formatted and not log.exists():
            log.mkdir()
            for name, content in _formatted.items():
                (log / name).write_bytes(content)
        self._child = self._new_child()
        self.child.start(lambda: answers(self.port), 90.0)
        _formatted.update({name: (log / name).read_bytes() for name in _FORMAT_FILES})

    def stop(self) -> int | None:
        """Stop cleanly."""
        return self.child.stop(20.0)

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()


def new_broker(kind: str, directory: Path) -> KafkaBroker:
    """Return a broker of a kind, not started."""
    if kind == "apache":
        return ApacheKafka(directory, "group.min.session.timeout.ms=2000\n")
    return Broker(free_port(), directory)


def _free_pair() -> int:
    """Return a port that is free together with the next one, which the controller takes."""
    port = free_port()
    while (following := free_port()) != port + 1:
        port = following
    return port
