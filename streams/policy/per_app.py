"""Thresholds that a rule has for some apps, in place of the numbers in its conditions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import methodcaller

from detectors.base import Range
from streams.errors import did_you_mean
from streams.policy.conditions import Comparison, Condition, ConditionError, comparisons, replaced
from streams.policy.conditions import parse_condition as parse
from streams.policy.contradictions import contradiction
from streams.policy.rule import Rule

Place = tuple[str, ...]
"""Where in a rule something is wrong: its keys from `thresholds` on."""


def bound(
    rule: Rule, metrics: Mapping[str, str], ranges: Mapping[str, Range]
) -> Rule | list[tuple[Place, str]]:
    """Return the rule with its thresholds in its comparisons, or what is wrong with them and where."""
    numbers = [each for each in comparisons(rule.when) if each.subject != "text"]
    others: dict[Comparison, dict[str, float]] = {}
    problems: list[tuple[Place, str]] = []
    for app, thresholds in rule.thresholds.items():
        for name, number in thresholds.items():
            try:
                which = _compared(name, numbers)
                other = parse(f"{name} {which.operator} {number}", metrics, ranges)
            except ConditionError as error:
                problems.append((("thresholds", app, name), str(error)))
            else:
                assert isinstance(other.value, float)
                others.setdefault(which, {})[app] = other.value
    if problems:
        return problems
    when = tuple(replaced(each, lambda own: _with(own, others)) for each in rule.when)
    return list(_unmet(rule, when, ranges)) or rule.model_copy(update={"when": when})


def _compared(name: str, numbers: Sequence[Comparison]) -> Comparison:
    found = [each for each in numbers if each.name == name]
    if not found:
        there = dict.fromkeys(each.name for each in numbers)
        raise ConditionError(
            f"'when' compares no '{name}' with a number{did_you_mean(name, there)}; "
            f"it does so with: {', '.join(there) or 'nothing'}"
        )
    if len(found) > 1:
        raise ConditionError(
            f"'when' compares {name} more than once, so that a threshold for an app could mean either: "
            "write a rule for the app"
        )
    return found[0]


def _with(comparison: Comparison, others: Mapping[Comparison, Mapping[str, float]]) -> Comparison:
    return replace(comparison, by_app=tuple(sorted(others.get(comparison, {}).items())))


def _unmet(rule: Rule, when: Sequence[Condition], ranges: Mapping[str, Range]) -> Iterator[tuple[Place, str]]:
    """Yield the apps whose events the rule never hits, so that their thresholds say nothing."""
    for app in rule.thresholds:
        of_app, its_own = Comparison("text", "app", "==", app), methodcaller("of", app)
        if excluding := contradiction(
            [of_app, *(replaced(each, its_own) for each in when)], ranges, rule.unless
        ):
            yield ("thresholds", app), f"the rule cannot hit in this app: {excluding}"
