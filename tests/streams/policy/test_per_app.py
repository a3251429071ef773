"""Thresholds of a rule for single apps."""

import numpy as np
import pytest

from detectors.base import SHARE
from schemas.events import Event
from streams.policy.conditions import comparisons
from streams.policy.differences import differences
from streams.policy.file import PolicyError, parse
from streams.policy.rule import digest
from streams.policy.rules import Policy

METRICS = {"toxicity": "toxicity", "threat": "toxicity"}
RULE = "id: tox, when: [kind == prompt, any: [toxicity >= 0.8, threat > 0.9]], action: block"


def policy(more: str = "", rule: str = RULE) -> Policy:
    text = f"version: '1'\nname: t\nrules:\n  - {{{rule}{more}}}\n"
    return parse(text, METRICS, dict.fromkeys(METRICS, SHARE), source="p.yaml")


APART = ", thresholds: {game: {toxicity: 0.95}, 'kid''s tutor': {toxicity: 0.5, threat: 0.3}}"


def test_an_app_has_its_own_number_and_the_others_that_of_the_rule() -> None:
    apps = ["shop", "game", "kid's tutor", "shop", "game", "kid's tutor", "kid's tutor"]
    scores = [(0.85, 0), (0.85, 0), (0.5, 0), (0.7, 0.3), (0.95, 0), (0.4, 0.3), (0.4, 0.31)]
    events = [
        Event(event_id=str(number), app=app, kind="prompt", text="x") for number, app in enumerate(apps)
    ]
    outcome = policy(APART).compile(tuple(METRICS)).evaluate(np.array(scores, np.float32), events)
    assert outcome.hits[:, 0].tolist() == [True, False, True, False, True, False, True]
    assert outcome.rule_hits(2, np.array(scores, np.float32))[0].metric == "toxicity"


def test_it_is_part_of_the_meaning_whatever_the_order() -> None:
    turned = ", thresholds: {'kid''s tutor': {threat: 0.30, toxicity: .5}, game: {toxicity: 0.95}}"
    assert policy(APART).hash == policy(turned).hash != policy().hash
    assert digest(policy(APART).rules[0]) != digest(policy().rules[0])
    (found,) = differences(policy(), policy(", thresholds: {game: {toxicity: 0.95}}"))
    assert (found.key, '0.95 for "game"' in found.after) == ("when", True)
    flat = "id: tox, when: [toxicity >= 0.8], action: block"
    (found,) = differences(policy(rule=flat), policy(", thresholds: {game: {toxicity: 0.95}}", flat))
    assert (found.key, found.after) == ("threshold", 'toxicity >= 0.8, 0.95 for "game"')
    own = next(each for each in comparisons(policy(APART).rules[0].when) if each.name == "toxicity")
    assert (str(own.of("game")), str(own.of("shop"))) == ("toxicity >= 0.95", "toxicity >= 0.8")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("{game: {toxicty: 0.5}}", "compares no 'toxicty' with a number (did you mean 'toxicity'?)"),
        ("{game: {toxicity: 95}}", "toxicity is between 0 and 1: >= 95 never holds; did you mean 0.95?"),
        ("{game: {toxicity: high}}", "toxicity is compared with a number such as 0.9, not with 'high'"),
        ("{game: 0.5}", "'game' must be a mapping of keys to values, not '0.5'"),
        ("{game: {}}", "'game' must have at least one entry"),
        ("[game]", "'thresholds' must be a mapping of keys to values, not a list"),
        ("{'': {toxicity: 0.5}}", "is empty"),
    ],
)
def test_a_mistake_is_told(more: str, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(f", thresholds: {more}")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (["when: [toxicity >= 0.5, toxicity < 0.9]"], "compares toxicity more than once"),
        (["when: [app != game, toxicity >= 0.5]"], "cannot hit in this app"),
        (["when: [toxicity >= 0.5]", "unless: ['app in [game, quiz]']"], "cannot hit in this app"),
        (["when: [toxicity >= 0.1]", "unless: [toxicity > 0.6]"], "cannot hit in this app"),
    ],
)
def test_a_threshold_that_means_nothing_is_refused_with_its_line(rule: list[str], expected: str) -> None:
    keys = ["id: a", *rule, "action: flag", "thresholds:", "  game:", "    toxicity: 0.7"]
    text = "version: '1'\nname: t\nrules:\n  -\n" + "".join(f"    {key}\n" for key in keys)
    with pytest.raises(PolicyError) as caught:
        parse(text, METRICS, dict.fromkeys(METRICS, SHARE), source="p.yaml")
    (line,) = str(caught.value).splitlines()
    assert expected in line
    assert text.splitlines()[int(line.split(":")[1]) - 1].strip() in ("game:", "toxicity: 0.7")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("demote_below: 50", "must be between 0 and 1, a share such as 0.5, not '50'"),
        ("alert_below: nan", "must be between 0 and 1"),
        ("demote_below: half", "must be a number such as 0.5, not 'half'"),
        ("min_reviews: 0", "must be between 1 and 1,000,000, not '0'"),
        ("min_reviews: few", "must be a whole number, not 'few'"),
    ],
)
def test_limits_of_precision_are_checked(key: str, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(f", {key}")
    assert expected in str(caught.value)
    assert policy(", demote_below: 0.5").hash != policy().hash
    assert digest(policy(", demote_below: 0.5, mode: shadow").rules[0]) == digest(policy().rules[0])
