"""Finds rules that can never hit, since their conditions on one value exclude each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from detectors.base import Range
from schemas.events import KINDS
from streams.policy.columns import Numbers, Texts, holds
from streams.policy.conditions import AllOf, Comparison, Condition

_ANY = Range()


def contradiction(
    when: Iterable[Condition], ranges: Mapping[str, Range], unless: Iterable[Condition] = ()
) -> str:
    """Return those of the conditions of a rule that no value meets together; empty where there are none.

    What stands under `any:` is not looked at, nor what stands under `all:` of an exception.
    """
    groups: dict[str, list[Comparison]] = {}
    for comparison in _joined(when):
        groups.setdefault(comparison.name, []).append(comparison)
    exceptions = [each for each in unless if isinstance(each, Comparison)]
    for name, group in groups.items():
        excepted = [each for each in exceptions if each.name == name]
        values = _values([*group, *excepted], ranges.get(name, _ANY))
        met = np.logical_and.reduce([holds(comparison, values) for comparison in group])
        for each in excepted:
            met &= ~holds(each, values)
        if not met.any():
            return ", ".join([*map(str, group), *(f"unless {each}" for each in excepted)])
    return ""


def _values(group: Sequence[Comparison], allowed: Range) -> Numbers | Texts:
    return _texts(group) if group[0].subject == "text" else _numbers(group, allowed)


def _joined(conditions: Iterable[Condition]) -> Iterator[Comparison]:
    for condition in conditions:
        if isinstance(condition, Comparison):
            yield condition
        elif isinstance(condition, AllOf):
            yield from _joined(condition.parts)


def _numbers(group: Sequence[Comparison], allowed: Range) -> Numbers:
    """Return a value from each stretch between thresholds, and the thresholds: others behave like these."""
    kind = np.float32 if group[0].subject == "metric" else np.float64
    at = np.array([comparison.value for comparison in group], kind)
    beside = [np.nextafter(at, kind(end)) for end in (-np.inf, np.inf)]
    if allowed.whole:
        beside = [np.floor(at), np.floor(at) + 1, np.ceil(at) - 1]
    values = np.concatenate([at, *beside])
    values = values[(values >= allowed.low) & (values <= allowed.high)]
    return values[values == np.floor(values)] if allowed.whole else values


def _texts(group: Sequence[Comparison]) -> Texts:
    named = [
        word for each in group for word in (each.value if isinstance(each.value, tuple) else (each.value,))
    ]
    # No value, and one that nobody names, are values too.
    words = KINDS if group[0].name == "kind" else tuple(dict.fromkeys([*map(str, named), "", "\0"]))
    return Texts(np.arange(len(words)), words)
