"""The policy that ships, and the page that describes policies."""

import math
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from schemas.events import VERDICTS, Action, Event, RuleSeverity
from schemas.fields import NUMBER_FIELDS, TEXT_FIELDS
from streams.policy import DEFAULT_POLICY
from streams.policy.conditions import (
    NUMBER_OPERATORS,
    TEXT_OPERATORS,
    comparisons,
)
from streams.policy.file import load, parse
from streams.policy.rule import OnFailure, Rule, RuleMode

DETECTORS = {
    "toxicity": ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack"),
    "injection": ("injection", "injection_context"),
    "harm": ("harmful_request",),
    "bias": ("bias_identity_attack", "bias_stereotype"),
    "pii": ("pii",),
    "secrets": ("secrets",),
    "references": ("distance_assistant", "similarity_attacks"),
    "refusal": ("refusal",),
    "groundedness": ("ungrounded",),
    "text": ("text_length", "text_tokens", "text_repetition", "text_invisible", "text_unjudged"),
}
METRICS = {metric: detector for detector, metrics in DETECTORS.items() for metric in metrics}
PAGE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")


def decide(kind: Any = "prompt", **scores: float) -> tuple[str, str, set[str]]:
    """Return verdict, action and rules of the default policy for one event."""
    compiled = load(DEFAULT_POLICY, METRICS).compile(tuple(METRICS))
    matrix = np.array([[scores.get(name, math.nan) for name in METRICS]], np.float32)
    outcome = compiled.evaluate(matrix, [Event(event_id="e", app="a", kind=kind, text="x")])
    rules = {hit.rule for hit in outcome.rule_hits(0, matrix)}
    return VERDICTS[outcome.verdict[0]], VERDICTS[outcome.action[0]], rules


@pytest.mark.parametrize(
    ("kind", "scores", "expected"),
    [
        ("prompt", {"injection": 0.95}, ("block", "block", {"injection-block", "injection-flag"})),
        ("prompt", {"injection": 0.7}, ("flag", "flag", {"injection-flag"})),
        ("completion", {"injection": 0.95}, ("allow", "allow", set())),
        ("prompt", {"similarity_attacks": 0.85}, ("flag", "flag", {"known-attack-flag"})),
        (
            "prompt",
            {"similarity_attacks": 0.96},
            ("block", "block", {"known-attack-block", "known-attack-flag"}),
        ),
        ("completion", {"injection_context": 0.9}, ("flag", "flag", {"injection-context-flag"})),
        ("prompt", {"harmful_request": 0.85}, ("flag", "flag", {"harmful-request-flag"})),
        ("completion", {"ungrounded": 0.95}, ("flag", "allow", {"ungrounded-shadow"})),
        ("prompt", {"text_unjudged": 1}, ("flag", "flag", {"unjudged-text-flag"})),
        (
            "completion",
            {"threat": 0.95, "toxicity": 0.6},
            ("block", "block", {"severe-toxicity-block", "toxicity-flag"}),
        ),
        ("completion", {"threat": 0.95, "toxicity": 0.4}, ("flag", "flag", {"toxicity-flag"})),
        ("prompt", {"threat": 0.75}, ("flag", "flag", {"toxicity-flag"})),
        ("prompt", {"toxicity": 0.75}, ("flag", "flag", {"toxicity-flag"})),
        ("prompt", {"pii": 2}, ("redact", "redact", {"pii-redact"})),
        ("prompt", {"secrets": 1}, ("redact", "redact", {"secrets-prompt-redact"})),
        ("completion", {"secrets": 1}, ("block", "block", {"secrets-completion-block"})),
        ("prompt", {"bias_stereotype": 0.9}, ("flag", "allow", {"bias-shadow"})),
        ("prompt", {"distance_assistant": 0.95, "text_tokens": 20}, ("flag", "allow", {"off-topic-shadow"})),
        ("prompt", {"distance_assistant": 0.95, "text_tokens": 3}, ("allow", "allow", set())),
        ("completion", {"refusal": 0.9}, ("flag", "flag", {"refusal-flag"})),
        ("prompt", {"text_length": 60_000}, ("flag", "flag", {"long-prompt-flag"})),
    ],
)
def test_what_the_default_policy_does(
    kind: str, scores: dict[str, float], expected: tuple[str, str, set[str]]
) -> None:
    assert decide(kind, **scores) == expected


def test_the_default_policy_lets_ordinary_text_pass() -> None:
    scores = dict.fromkeys(METRICS, 0.05) | {
        "pii": 0,
        "secrets": 0,
        "text_invisible": 0,
        "text_unjudged": 0,
        "text_length": 200,
    }
    for kind in ("prompt", "completion"):
        assert decide(kind, **scores) == ("allow", "allow", set())


def test_the_default_policy_uses_every_detector_and_describes_every_rule() -> None:
    policy = load(DEFAULT_POLICY, METRICS)
    used = {METRICS[c.name] for rule in policy.rules for c in comparisons(rule.when) if c.name in METRICS}
    assert used == set(DETECTORS)
    assert all(rule.description for rule in policy.rules)


@pytest.mark.parametrize(
    "word",
    sorted(
        {"version", "name", "rules", "any:", "all:", "metadata.<key>", *Rule.model_fields}
        | {*TEXT_FIELDS, *NUMBER_FIELDS, *NUMBER_OPERATORS, *TEXT_OPERATORS}
        | {*get_args(Action), *get_args(RuleSeverity), *get_args(RuleMode), *get_args(OnFailure)}
    ),
)
def test_the_page_names_everything(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_the_page_states_the_order_of_strength() -> None:
    assert " < ".join(f"`{verdict}`" for verdict in VERDICTS) in PAGE


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_the_examples_of_the_page_are_policies(example: str) -> None:
    assert parse(example, METRICS).rules
