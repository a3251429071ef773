"""Debian's chromium, driven: tests in here are skipped where it is not, or where Playwright is not."""

import asyncio
import shutil
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.policy import PolicyChange
from streams.policy import DEFAULT_POLICY
from streams.policy.file import parse
from streams.policy.rule import digest
from streams.store.client import Store
from tests.models import MODELS
from tests.pages import hostile, traffic
from tests.streams.desk.desks import OpenDesk

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MS = 90_000
SIZES: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}


class Served:
    """A desk whose loop runs in a thread of its own: the browser is driven from the test's."""

    def __init__(self, desk: OpenDesk) -> None:
        self.desk = desk
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Served":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.desk.__aenter__(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.desk.__aexit__(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def demoted() -> PolicyChange:
    """Return that reviews sent a rule of the shipped policy to shadow."""
    metrics = dict.fromkeys(traffic.all_metrics(MODELS), "")
    rules = parse(DEFAULT_POLICY.read_text("utf-8"), metrics).rules
    (rule,) = [each for each in rules if each.id == "repetition-flag"]
    return PolicyChange(
        change_id="demoted", what="demoted", timestamp=1, by="reviews", rule=rule.id, rule_hash=digest(rule),
        reason="2 of 12 reviewed hits were right",
    )  # fmt: skip


# Of a module: Playwright leaves its event loop running in this thread until it ends.
@pytest.fixture(scope="module")
def served(clickhouse: str) -> Iterator[Served]:
    """A desk over some days of traffic, and over what is hostile."""
    with pytest.MonkeyPatch.context() as patch:
        database = f"test_{uuid.uuid4().hex}"
        # What is tried runs in a process of its own, and reads the same store.
        patch.setenv("WEIR_CLICKHOUSE", clickhouse)
        patch.setenv("WEIR_CLICKHOUSE_DATABASE", database)
        store = Store(clickhouse, database=database)
        traffic.fill(store, traffic.all_metrics(MODELS))
        for batch in (hostile.rows(), *hostile.around()):
            store.insert(batch, uuid.uuid4().hex)
        store.insert([demoted()], uuid.uuid4().hex)
        with Served(OpenDesk(store, roles=[("guard", "127.0.0.1:1")])) as running:
            yield running
        store.client.command(f"DROP DATABASE {database}")
        store.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        # Root, as in a container, has no sandbox; the pages are ours.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A page of the browser that notes what goes wrong in it."""

    def __init__(self, page: Any, base: str) -> None:
        self.page = page
        self._base = base
        self.wrong: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", self._dialog)

    def _console(self, said: Any) -> None:
        if said.type == "error":
            self.wrong.append(said.text)

    def _dialog(self, dialog: Any) -> None:
        self.wrong.append(dialog.message)
        dialog.dismiss()

    def open(self, path: str) -> None:
        self.page.goto(self._base + path)

    @property
    def wider_than_the_screen(self) -> bool:
        wide: bool = self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        return wide

    @property
    def scrolled_sideways(self) -> list[str]:
        """What has to be moved sideways to be read."""
        found: list[str] = self.page.evaluate(
            "[...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1 &&"
            " ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)).map(e => e.outerHTML.slice(0, 120))"
        )
        return found


@pytest.fixture
def tab(request: pytest.FixtureRequest, chromium: Any, served: Served) -> Iterator[Tab]:
    """A tab of a desk's screen, or of what the test is parametrized with."""
    context = chromium.new_context(**SIZES[getattr(request, "param", "desk")])
    context.set_default_timeout(PATIENCE_MS)
    made = Tab(context.new_page(), served.desk.url)
    yield made
    context.close()
    assert made.wrong == []
