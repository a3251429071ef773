"""The embedded servers, once per test run (per worker under xdist)."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from streams.local.broker import Broker
from streams.local.clickhouse import start_clickhouse
from streams.local.process import free_port
from streams.policy import DEFAULT_POLICY
from tests.brokers import KafkaBroker, apache_missing, new_broker
from tests.harness import Weir
from tests.models import MODELS

# In the background of a shell SIGINT is ignored, and would be by the processes that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("weir", deadline=None)  # a busy machine is no bug
settings.load_profile("weir")
ABUSE = """
  - id: abusive-user
    when: [app == rationed, user_injections_1h >= 5]
    action: block
"""
"""What the shared weir has beside the default policy."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Start each stack once: with `--dist loadfile` every file would start its own."""
    from tests.scheduling import Together

    return Together(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name binary parameters by number: what gzip makes has the time in it, and all workers want one name."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On each broker: its own tests, those of the weir on it, and faults, whose topics are long, last."""
    items.sort(key=lambda item: (_stack(item) == "weir", "tests/chaos/" in item.nodeid))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop broker and weir after the last test on them: idle, they would cost the others a tenth of the CPU.

    Nor does a weir start on topics that tests of the broker have written to.
    """
    if (mine := _stack(item)) and mine != _stack(nextitem):
        # Also where this one was skipped, and has not asked for it.
        known = item._fixtureinfo.name2fixturedefs["kafka"]  # type: ignore[attr-defined]
        known[-1].finish(item._request)  # type: ignore[attr-defined]


def _stack(item: pytest.Item | None) -> str:
    """Return what a test runs on: `weir`, `kafka` alone, or neither."""
    used = getattr(item, "fixturenames", ())
    return next((name for name in ("weir", "kafka") if name in used and "kafka" in used), "")


@pytest.fixture(scope="session", autouse=True)
def loaded_models() -> Iterator[None]:
    """Let `make_runner` take the models that are there: loading them anew takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.decisions.scoring.Models", lambda folder, threads: MODELS)
        yield


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an embedded broker, `127.0.0.1:PORT`, that makes topics as they are named; it is shared."""
    with Broker(free_port(), tmp_path_factory.mktemp("broker"), create_topics=True) as running:
        yield running.address


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an embedded store, `http://127.0.0.1:PORT`; use a database of your own, it is shared."""
    port = free_port()
    child = start_clickhouse(tmp_path_factory.mktemp("store"), port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        child.stop()


@pytest.fixture(
    scope="session",
    params=[
        "embedded",
        pytest.param("apache", marks=pytest.mark.skipif(bool(apache_missing()), reason=apache_missing())),
    ],
)
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A running broker of each kind, for tests marked `kafka`; one stack of `weir` uses its topics."""
    running = new_broker(request.param, tmp_path_factory.mktemp(f"kafka-{request.param}"))
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def weir(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weir]:
    """Store and roles on `kafka`; use an app name of your own, it is shared."""
    folder = tmp_path_factory.mktemp("weir")
    policy = folder / "policy.yaml"
    policy.write_text(DEFAULT_POLICY.read_text("utf-8") + ABUSE, "utf-8")
    running = Weir(kafka.address, folder, WEIR_POLICY=str(policy))
    try:
        running.start()
        yield running
    finally:
        running.stop()
