"""A flood of what cannot be read stops nobody; what was mended is decided once."""

import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from schemas import codec, topics
from schemas.events import Alert, DeadLetter
from tests.harness import Weir, make_events, wait_until

pytestmark = pytest.mark.kafka
FLOOD = 6_000


def letters(weir: Weir, app: str) -> list[DeadLetter]:
    found = [codec.decode(DeadLetter, record.value) for record in weir.read(topics.DEAD_LETTERS)]
    return [letter for letter in found if letter.app == app]


def degraded(weir: Weir) -> list[str]:
    found: list[str] = json.loads(weir.roles["guard"].get("healthz")[1])["degraded"]
    return found


def test_a_flood_of_malformed_payloads_stops_nothing(weir: Weir) -> None:
    app, buggy = "steady", "buggy"
    publishing = threading.Thread(target=weir.publish, args=(make_events(app, 40), 20.0))
    publishing.start()
    bad = [
        (str(i).encode(), b'{"app": "%b", "kind": 7, "number": %d}' % (buggy.encode(), i))
        for i in range(FLOOD)
    ]
    weir.send(topics.EVENTS, bad)
    wait_until(lambda: "dead_letters" in degraded(weir), "the guard says that there is a flood")
    publishing.join()
    wait_until(lambda: len(weir.decisions(app)) == 40, "the other app's events are decided")
    assert max(decision.latency_ms for decision in weir.decisions(app)) < 20_000

    def told() -> Counter[tuple[int, int]]:
        return Counter((x.partition, at) for x in letters(weir, buggy) for at in (x.offset, *x.repeats))

    wait_until(lambda: len(told()) == FLOOD, "every message is told")
    assert set(told().values()) == {1}
    assert len(letters(weir, buggy)) < FLOOD / 4
    alerts = [codec.decode(Alert, record.value) for record in weir.read(topics.ALERTS)]
    [alert] = {x.alert_id: x for x in alerts if x.rule == "dead_letters" and buggy in x.title}.values()
    assert (alert.source, alert.severity) == ("guard", "critical")
    wait_until(lambda: not degraded(weir), "the flood is over")
    assert weir.roles["guard"].running
    assert weir.roles["guard"].get("healthz")[0] == 200
    count = "SELECT sum(1 + length(repeats)) FROM dead_letters WHERE app = {app:String}"
    wait_until(lambda: weir.query(count, app=buggy) == [(FLOOD,)], "all are in the store")
    weir.check_complete(app, 40)
    code, output = weir.run("dlq", "list", "--app", buggy, "--limit", "1")
    assert code == 0
    assert f"for {FLOOD:,} messages" in output


def test_what_was_mended_is_decided_once(weir: Weir, tmp_path: Path) -> None:
    app = "mended"
    event = {"event_id": "m-1", "app": app, "kind": "question", "text": "What is a weir?"}
    weir.send(topics.EVENTS, [(b"m-1", json.dumps(event).encode())])
    [letter] = wait_until(lambda: letters(weir, app), "it is refused")
    code, shown = weir.run("dlq", "show", letter.dead_letter_id, "--payload", "--json")
    assert code == 0, shown
    (tmp_path / "mended").write_text(shown.replace("question", "prompt"))
    for done in ("1 dead letter republished to llm.events (1 message)", "0 dead letters republished"):
        code, output = weir.run("dlq", "republish", "--file", str(tmp_path / "mended"))
        assert (code, done in output) == (0, True), output
    weir.await_rows(app, 1)
    assert [decision.event_id for decision in weir.decisions(app)] == ["m-1"]
    state = "SELECT state FROM dead_letters WHERE app = {app:String}"
    wait_until(lambda: weir.query(state, app=app) == [("republished",)], "the store knows")
