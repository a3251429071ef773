"""The views of alerts: current state, history, and the queries in the documentation."""

import re
from pathlib import Path

import pytest

from schemas.alerts import AlertAction, AlertChange, AlertPart
from schemas.events import Alert
from streams.store.client import Store

PAGE = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text("utf-8")
QUERIES = re.findall(r"[^;]+;", PAGE.split("## In SQL")[1].split("```sql\n")[1].split("```")[0])
T0 = 1_700_000_000_000


def change(version: int, kind: str, state: str, **more: object) -> AlertChange:
    part = AlertPart(part_id="p", title="drift: latency_ms", timestamp=T0, app="shop", score=2.0, before=1.0)
    fields = {
        "change_id": f"ID:{kind}:1", "alert_id": "ID", "change": kind, "version": version, "state": state,
        "severity": "medium", "kind": "drift", "rule": "drift", "app": "shop", "title": "t", "parts": (part,),
        "timestamp": T0 + version, "opened_at": T0, "last_at": T0 + 5, **more,
    }  # fmt: skip
    return AlertChange(**fields)  # type: ignore[arg-type]


@pytest.fixture
def filled(store: Store) -> Store:
    opened = change(1, "opened", "open")
    resolved = change(2, "resolved", "resolved", resolved_at=T0 + 60_000, reason="returned")
    store.insert([opened, resolved], "a")
    # Published and archived again, the first after the second; one of another alert beside it.
    store.insert([opened, change(1, "opened", "open", alert_id="other", change_id="other:opened:1")], "b")
    store.insert([Alert(alert_id="ID", source="watch", severity="medium", rule="drift", title="t",
                        timestamp=T0, app="shop", subject="s", open_ended=True)], "c")  # fmt: skip
    action = AlertAction(action_id="x", alert_id="ID", action="acknowledge", who="kim", timestamp=T0)
    store.insert([action], "d")
    store.insert([action], "e")
    return store


def test_an_alert_has_one_state_and_each_change_once_whatever_is_repeated(filled: Store) -> None:
    states = filled.query("SELECT alert_id, state, reason FROM alert_states ORDER BY alert_id").rows
    assert states == [("ID", "resolved", "returned"), ("other", "open", "")]
    changes = filled.query("SELECT change FROM alert_changes WHERE alert_id = 'ID' ORDER BY version").rows
    assert changes == [("opened",), ("resolved",)]
    assert filled.query("SELECT who FROM alert_actions").rows == [("kim",)]
    assert filled.query("SELECT subject, open_ended FROM alerts").rows == [("s", True)]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.strip().splitlines()[0][3:])
def test_a_documented_query_finds_what_is_there(filled: Store, query: str) -> None:
    assert filled.query(query.strip().rstrip(";")).rows
