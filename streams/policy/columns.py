"""Events as columns, and where a comparison holds in them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.events import Event
from schemas.fields import METADATA, NUMBER_FIELDS
from streams.policy.conditions import Comparison

Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.floating[Any]]

_COMPARE: dict[str, Callable[..., Any]] = {
    ">=": np.greater_equal,
    ">": np.greater,
    "<=": np.less_equal,
    "<": np.less,
    "==": np.equal,
    "!=": np.not_equal,
}


Counts = Mapping[int, Mapping[str, float]]
"""By row, where there are any: how many findings of each kind."""
NO_COUNTS: Final[Counts] = MappingProxyType({})


@dataclass(frozen=True)
class Texts:
    """N texts, each as a code into the few that are different."""

    codes: npt.NDArray[np.intp]
    different: tuple[str, ...]

    def where(self, chosen: Callable[[str], bool]) -> Bools:
        """Return (N,): the texts that are chosen; each different text is asked about once."""
        return np.fromiter(map(chosen, self.different), bool, len(self.different))[self.codes]

    def at(self, row: int) -> str:
        """Return one text."""
        return self.different[int(self.codes[row])]


class Recorded(NamedTuple):
    """What decisions say of a rule that is the same now."""

    known: Bools
    """(N,): it was in the policy that decided; of other events this says nothing."""
    hits: Bools
    """(N,)"""
    by_failure: Bools
    """(N,): it hit because a detector failed."""


@dataclass(frozen=True)
class Rows:
    """N events as columns: all that a policy asks of them."""

    count: int
    scores: Mapping[str, Numbers]
    """(N,) by metric; NaN means "does not apply"."""
    fields: Mapping[str, Texts | Numbers]
    """By event field, and by name of usage."""
    failed: Mapping[str, Bools] = field(default_factory=dict)
    """(N,) by detector: it gave no scores; whatever stands in their columns is not looked at."""
    unsure: Mapping[str, Bools] = field(default_factory=dict)
    """(N,) by metric: the score rests on less than it should."""
    unknown: Mapping[str, Bools] = field(default_factory=dict)
    """(N,) by metric or event field: what the event had is not known; what stands there is not looked at."""
    unsaid: Mapping[str, Bools] = field(default_factory=dict)
    """(N,) by event field: the event had what stands there, or nothing."""
    recorded: Mapping[str, "Recorded"] = field(default_factory=dict)
    """By rule: whether it hit when the event was decided."""

    def column(self, comparison: Comparison) -> Texts | Numbers:
        """Return what a comparison compares."""
        return (self.scores if comparison.subject == "metric" else self.fields)[comparison.name]

    def numbers(self, name: str) -> Numbers:
        """Return a field that is no text."""
        column = self.fields[name]
        assert not isinstance(column, Texts)
        return column


def field_column(name: str, events: Sequence[Event]) -> Texts | Numbers:
    """Return an event field as a column: float64 with NaN for "not given", or texts."""
    if name in NUMBER_FIELDS:
        numbers = map(attrgetter(name), events)
        return np.array([np.nan if number is None else number for number in numbers], np.float64)
    if name.startswith(METADATA):
        key = name.removeprefix(METADATA)
        return texts([event.metadata.get(key, "") for event in events])
    return texts(list(map(attrgetter(name), events)))


def counted_column(name: str, counts: Counts, events: int) -> Numbers:
    """Return how many findings of a kind each of N events has, shape (N,)."""
    column = np.zeros(events, np.float32)
    for row, found in counts.items():
        column[row] = found.get(name, 0.0)
    return column


def texts(column: Sequence[str]) -> Texts:
    """Return texts as a column."""
    index = {text: code for code, text in enumerate(dict.fromkeys(column))}
    return Texts(np.fromiter(map(index.__getitem__, column), np.intp, len(column)), tuple(index))


def holds(comparison: Comparison, column: Texts | Numbers, apps: Texts | Numbers | None = None) -> Bools:
    """Return (N,): where the comparison holds; never where the value is NaN or was not given.

    `apps` are needed where the comparison has other numbers for some.
    """
    operator, value = comparison.operator, comparison.value
    if not isinstance(column, Texts):
        assert isinstance(value, float)
        # The threshold takes the scores' precision, so that a score of float32(0.9) is >= 0.9.
        threshold: Any = column.dtype.type(value)
        if comparison.by_app:
            assert isinstance(apps, Texts)
            of_app = dict(comparison.by_app)
            threshold = np.array([of_app.get(app, value) for app in apps.different], column.dtype)[apps.codes]
        result: Bools = _COMPARE[operator](column, threshold)
        return result & ~np.isnan(column) if operator == "!=" else result
    words = frozenset(value if isinstance(value, tuple) else (value,))
    if operator in ("==", "in"):
        return column.where(lambda text: text in words)
    return column.where(lambda text: text != "" and text not in words)
