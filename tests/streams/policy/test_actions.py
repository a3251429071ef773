"""Actions and severities: what is known of each is in one table, and whoever shows or counts them has all."""

import re
from pathlib import Path
from typing import Any

import pytest

from schemas.events import SEVERITIES, VERDICTS, Verdict
from streams.desk import chart, colours
from streams.desk.questions import compare, events
from streams.gate.answers import BLOCKING
from streams.policy.actions import ACTED, ACTIONS, SEVERITY_TRAITS
from streams.policy.rule import Rule
from streams.terminal.messages import coloured

POLICY_PAGE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text("utf-8")
MINE = [word for word in VERDICTS if word != "allow"]


def test_the_tables_have_the_words_of_the_messages_in_their_order() -> None:
    assert tuple(ACTIONS) == VERDICTS, "streams/policy/actions.py: ACTIONS"
    assert tuple(SEVERITY_TRAITS) == SEVERITIES, "streams/policy/actions.py: SEVERITY_TRAITS"
    for each in ("done", "colour"):
        values = [getattr(traits, each) for traits in ACTIONS.values()]
        assert len(set(values)) == len(values), f"two actions have one {each}"


def test_what_is_not_read_from_the_table_says_the_same() -> None:
    """Migrations and dashboards count `block` alone as a block; what waits for a person is `escalate`."""
    assert {"block", "escalate"} <= BLOCKING
    assert events.FIRST[0] == "escalate"


@pytest.mark.parametrize("action", VERDICTS)
def test_an_action_has_its_place_wherever_actions_are_shown(action: Verdict) -> None:
    sheet, colour = colours.sheet(), ACTIONS[action].colour
    assert f".action.{action}::before" in sheet
    assert f".fill-{action}{{" in sheet
    assert colour.light in sheet
    assert colour.dark in sheet
    assert coloured(action).style, "on a terminal"
    assert action in chart.ORDER
    assert f'class="action {action}"' in chart.legend()
    assert action in events.FIRST, "the order of reviews"
    assert re.search(rf"^\| `{action}` \|", POLICY_PAGE, re.MULTILINE), (
        "docs/policy.md: what is asked of the app"
    )


@pytest.mark.parametrize("action", MINE)
def test_the_rules_of_an_action_alert_as_the_table_says(action: Any) -> None:
    rule = Rule.model_validate({"id": "r", "when": ["kind == prompt"], "action": action})
    assert rule.alert is ACTIONS[rule.action].alerts
    assert ACTED[action] in compare.RATES
    row = next(line for line in POLICY_PAGE.splitlines() if line.startswith("| `alert` |"))
    yes, _, no = row.partition("`false` for")
    assert f"`{action}`" in (yes if rule.alert else no), "docs/policy.md: the key `alert`"


def test_docs_have_the_actions_in_the_order_of_strength() -> None:
    assert f"Strength: {' < '.join(f'`{word}`' for word in VERDICTS)}." in POLICY_PAGE
    assert f"| `action` | required | {', '.join(f'`{word}`' for word in MINE)} |" in POLICY_PAGE


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_grave_severity_is_seen_on_a_page_and_a_terminal(severity: Any) -> None:
    is_grave = SEVERITY_TRAITS[severity].is_grave
    assert (f".severity.{severity}{{" in colours.sheet()) is is_grave
    assert (dict(coloured(severity).style).get("fg") == "red") is is_grave
