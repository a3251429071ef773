"""Conditions on what was used: read, judged, and named in what they decide."""

import numpy as np
import pytest

from schemas.events import Event
from schemas.fields import USAGE
from streams.policy.file import PolicyError, parse
from streams.policy.rules import Policy

METRICS = {"injection": "injection"}
EVENTS = [Event(event_id=f"e{n}", app="a", kind="prompt", text="") for n in range(4)]
COUNTS = np.array([np.nan, 0.0, 2.0, 5.0])


def policy(condition: str, more: str = "") -> Policy:
    rule = f"  - id: r\n    when: ['{condition}']\n    action: block\n{more}"
    return parse(f"version: '1'\nname: n\nrules:\n{rule}", METRICS)


def hits(condition: str, more: str = "") -> list[bool]:
    matrix = np.zeros((4, 1), np.float32)
    compiled = policy(condition, more).compile(["injection"])
    hit: list[bool] = (
        compiled.evaluate(matrix, EVENTS, beside={compiled.usage[0]: COUNTS}).hits[:, 0].tolist()
    )
    return hit


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("user_injections_1h >= 3", [False, False, False, True]),
        ("user_injections_1h < 3", [False, True, True, False]),
        ("user_injections_1h != 3", [False, True, True, True]),
        ("tenant_cost_1d >= 1.5", [False, False, True, True]),
    ],
)
def test_where_nobody_is_named_no_condition_holds(condition: str, expected: list[bool]) -> None:
    assert hits(condition) == expected


def test_nor_does_an_exception() -> None:
    assert hits("injection >= 0", "    unless: [conversation_events_1m <= 2]\n") == [True, False, False, True]


def test_without_a_view_nothing_holds() -> None:
    outcome = (
        policy("app_events_1m >= 0").compile(["injection"]).evaluate(np.zeros((4, 1), np.float32), EVENTS)
    )
    assert not outcome.hits.any()


def test_the_hit_says_what_decided() -> None:
    matrix = np.full((4, 1), 0.25, np.float32)
    compiled = policy("user_blocks_1d >= 3").compile(["injection"])
    (hit,) = compiled.evaluate(matrix, EVENTS, beside={"user_blocks_1d": COUNTS}).rule_hits(3, matrix)
    assert (hit.metric, hit.score, hit.failed) == ("user_blocks_1d", 5.0, False)


def test_every_name_can_be_asked_for() -> None:
    assert len(USAGE) == 4 * 5 * 3
    for name in USAGE:
        assert policy(f"{name} >= 1").compile(["injection"]).usage == (name,)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("user_injection_1h >= 3", "did you mean 'user_injections_1h'?"),
        ("inje >= 0.5", "did you mean 'injection'?"),
        ("user_injections_1h >= -1", "user_injections_1h is 0 or more, a whole number: >= -1 holds whatever"),
        ("user_events_1m == 1.5", "user_events_1m is 0 or more, a whole number: == 1.5 never holds"),
        ("tenant_cost_1d < 0", "tenant_cost_1d is 0 or more: < 0 never holds"),
        ("user_blocks_1h in [3]", "the operator 'in' is not one for user_blocks_1h"),
    ],
)
def test_mistakes_are_told(condition: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(condition)
    assert message in str(caught.value)
