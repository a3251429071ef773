"""What differs between two policies in what they mean, not in how they are written."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from streams.policy.conditions import Comparison
from streams.policy.rule import Rule, meaning
from streams.policy.rules import Policy

What = Literal["policy", "added", "removed", "changed", "order"]


class Difference(msgspec.Struct, frozen=True):
    """One thing that differs."""

    what: What
    rule: str = ""
    key: str = ""
    """The key of the rule that has another value; `threshold` for a number in a condition."""
    before: str = ""
    after: str = ""


def differences(before: Policy, after: Policy) -> list[Difference]:
    """Return what differs; nothing where both say the same in other words."""
    old, new = ({rule.id: rule for rule in policy.rules} for policy in (before, after))
    found = [
        Difference("policy", key=key, before=getattr(before, key), after=getattr(after, key))
        for key in ("name", "version")
        if getattr(before, key) != getattr(after, key)
    ]
    found += [
        Difference("removed", name, before=_brief(rule)) for name, rule in old.items() if name not in new
    ]
    for name, rule in new.items():
        if name not in old:
            found.append(Difference("added", name, after=_brief(rule)))
        else:
            found += _of_rule(old[name], rule)
    kept = [[name for name in one if name in other] for one, other in ((old, new), (new, old))]
    if kept[0] != kept[1]:
        found.append(Difference("order", before=", ".join(kept[0]), after=", ".join(kept[1])))
    return found


def _of_rule(before: Rule, after: Rule) -> Iterator[Difference]:
    old, new = meaning(before), meaning(after)
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            first, second = _said(old.get(key)), _said(new.get(key))
            moved = (
                [*_thresholds(getattr(before, key), getattr(after, key))] if key in ("when", "unless") else []
            )
            if moved:
                yield from (Difference("changed", after.id, "threshold", *each) for each in moved)
            else:
                yield Difference("changed", after.id, key, first, second)


def _thresholds(before: tuple[Any, ...], after: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    """Yield the comparisons that have another number, where nothing else differs."""
    pairs = list(zip(before, after, strict=False))
    alike = len(before) == len(after) and all(
        old == new or (_has_number(old) and _has_number(new) and _but_number(old) == _but_number(new))
        for old, new in pairs
    )
    if alike:
        yield from ((str(old), str(new)) for old, new in pairs if old != new)


def _has_number(condition: Any) -> bool:
    return isinstance(condition, Comparison) and isinstance(condition.value, float)


def _but_number(condition: Comparison) -> tuple[str, str]:
    return condition.name, condition.operator


def _brief(rule: Rule) -> str:
    unless = f" unless {'; '.join(map(str, rule.unless))}" if rule.unless else ""
    mode = "" if rule.mode == "enforce" else f", {rule.mode}"
    return f"{rule.action} when {'; '.join(map(str, rule.when))}{unless} ({rule.severity}{mode})"


def _said(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(value)
    return {None: "", True: "true", False: "false"}.get(value, str(value))
