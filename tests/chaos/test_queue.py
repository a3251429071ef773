"""The review queue, with desks that are killed: nobody gets what another has, no judgement is lost."""

import base64
import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from schemas import codec
from schemas.events import Decision, Event, ScoredEvent
from streams.local.process import HOST, free_port
from streams.store.client import make_store
from tests.brokers import new_broker
from tests.harness import Role, Weir, wait_until

EVENTS = 18
PASSWORD = "correct horse battery"
BROKER = os.environ.get("WEIR_TEST_REVIEWS_BROKER", "embedded")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Weir]:
    broker = new_broker(BROKER, tmp_path / "broker")
    broker.start()
    weir = Weir(broker.address, tmp_path, WEIR_DESK_PASSWORD=PASSWORD)
    try:
        weir.start_store()
        for name in ("topics", "migrate"):
            assert weir.run(name)[0] == 0
        weir.roles["archive"] = weir.role("archive").start()
        fill(weir)
        yield weir
    finally:
        weir.stop()
        broker.stop()


def fill(weir: Weir) -> None:
    now = int(weir.query("SELECT toUnixTimestamp64Milli(now64(3))")[0][0])
    rows = [
        ScoredEvent(
            event=Event(event_id=f"e{n}", app="shop", kind="prompt", text="x"),
            scores={},
            decision=Decision(
                decision_id=codec.decision_id("shop", f"e{n}"), event_id=f"e{n}", app="shop", kind="prompt",
                verdict="block", action="block", decided_at=now,
            ),
            timestamp=now,
        )
        for n in range(EVENTS)
    ]  # fmt: skip
    store = make_store(weir.settings)
    store.insert(rows, uuid.uuid4().hex)
    store.close()


class Reviewer:
    """Judges what a desk shows, whichever answers, until nothing is left."""

    def __init__(self, name: str, addresses: list[str]) -> None:
        self.name = name
        self.addresses = addresses
        self.confirmed: list[str] = []
        self._auth = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
        self.thread = threading.Thread(target=self._work)
        self.failed = 0

    def _ask(self, address: str, path: str, form: dict[str, str] | None = None) -> str:
        data = urllib.parse.urlencode(form).encode() if form else None
        headers = {"Authorization": f"Basic {self._auth}"}
        request = urllib.request.Request(f"http://{address}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return str(reply.read().decode())

    def _work(self) -> None:
        while self.failed < 600:
            address = self.addresses[(len(self.confirmed) + self.failed) % len(self.addresses)]
            try:
                page = self._ask(address, "/review")
                shown = re.search(r'name="event_id" value="([\w-]+)"', page)
                if shown is None:
                    return
                [token] = set(re.findall(r'name="token" value="(\w+)"', page))
                form = {"app": "shop", "event_id": shown[1], "judgement": "correct", "token": token}
                self._ask(address, "/review", form)
                self.confirmed.append(shown[1])
            except OSError:
                self.failed += 1
                threading.Event().wait(0.1)


def judged_of(reviewers: list[Reviewer], most: int) -> bool:
    return sum(len(each.confirmed) for each in reviewers) >= most


def test_desks_die_and_reviewers_go_on(stack: Weir) -> None:
    weir = stack
    addresses = [f"{HOST}:{free_port()}" for _ in range(2)]
    desks: list[Role] = [weir.role("desk", WEIR_DESK_LISTEN=each).start() for each in addresses]
    reviewers = [Reviewer(name, addresses[::step]) for name, step in (("ann", 1), ("bob", -1), ("eve", 1))]
    try:
        for each in reviewers:
            each.thread.start()
        for number, desk in enumerate(desks, 1):
            enough = partial(judged_of, reviewers, 3 * number)
            wait_until(enough, "some are judged")
            desk.kill()
            desk.start()
        for each in reviewers:
            each.thread.join()
    finally:
        for desk in desks:
            desk.kill()
    wait_until(lambda: len(weir.query("SELECT event_id FROM feedback")) >= EVENTS, "all are rows")
    said = weir.query("SELECT event_id, reviewer FROM feedback ORDER BY event_id")
    assert len(said) == len({event for event, _ in said}) == EVENTS, "each was judged by one reviewer, once"
    of = dict(said)
    for each in reviewers:
        assert {of[event] for event in each.confirmed} <= {each.name}, "what a desk has confirmed is kept"
