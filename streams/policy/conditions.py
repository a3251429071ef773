"""The conditions of a policy: `<metric or event field> <operator> <value>`, and `any:` / `all:` of them."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, PlainValidator, Tag, ValidationInfo

from detectors.base import COUNT, Range
from detectors.registry import giver
from schemas.events import KINDS
from schemas.fields import LANGUAGE, METADATA, NUMBER_FIELDS, TEXT_FIELDS, USAGE
from streams.errors import did_you_mean

Subject = Literal["metric", "number", "text", "usage"]
Operator = Literal[">=", ">", "<=", "<", "==", "!=", "in", "not in"]

_AMOUNTS = {name: Range(low=0.0) if "_cost_" in name else COUNT for name in USAGE}
FIELD_RANGES = (
    dict.fromkeys(NUMBER_FIELDS, Range(low=0.0)) | dict.fromkeys(NUMBER_FIELDS[:2], COUNT) | _AMOUNTS
)
MAX_LENGTH = 1000
TERMS = "terms_"
"""How the metrics of sets of terms begin."""
NUMBER_OPERATORS = (">=", ">", "<=", "<", "==", "!=")
TEXT_OPERATORS = ("==", "!=", "in", "not in")

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[\w./:@-]*)?")
_OPERATOR = re.compile(r"not\s+in(?![\w.])|in(?![\w.])|[<>=!~]+|[^\s\[\"'\w]+|\w+")
_ISO_639 = re.compile("[a-z]{2}")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_MISTAKEN = {"=": "==", "is": "==", "=>": ">=", "=<": "<=", "<>": "!=", "not": "not in"}
_WORD = r"\"[^\"]*\"|'[^']*'|[^\s,\[\]\"']+"
_LIST = re.compile(rf"\[\s*(?:{_WORD})(?:\s*,\s*(?:{_WORD}))*\s*,?\s*\]")
_LARGEST = float(np.finfo(np.float32).max)


class ConditionError(ValueError):
    """A condition that cannot be read; the message says what is allowed."""


class MissingDetectorError(ConditionError):
    """A metric whose detector does not run."""

    def __init__(self, metric: str, detector: str) -> None:
        super().__init__(f"the detector '{detector}', which gives {metric}, does not run")
        self.detector = detector


@dataclass(frozen=True)
class Comparison:
    """One metric or event field against one value."""

    subject: Subject
    name: str
    operator: Operator
    value: float | str | tuple[str, ...]
    """A number for metrics and number fields, one text for `==` and `!=`, a tuple for `in` and `not in`."""
    by_app: tuple[tuple[str, float], ...] = ()
    """Apps for which another number counts, sorted."""

    def __str__(self) -> str:
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        others = "".join(f", {number:g} for {json.dumps(app)}" for app, number in self.by_app)
        return f"{self.name} {self.operator} {json.dumps(value)}{others}"

    def of(self, app: str) -> "Comparison":
        """Return the comparison as it is for an app."""
        return replace(self, value=dict(self.by_app).get(app, self.value), by_app=())


def parse_condition(
    text: str, metrics: Mapping[str, str], ranges: Mapping[str, Range] = FIELD_RANGES
) -> Comparison:
    """Read one comparison; raise `ConditionError`.

    `metrics` are the metrics that exist, with their detectors; `ranges` the values that metrics and fields
    can have, where that is known.
    """
    text = text.strip()
    if len(text) > MAX_LENGTH:
        raise ConditionError(f"a condition has at most {MAX_LENGTH} characters, this one {len(text)}")
    match = _NAME.match(text)
    if match is None:
        raise ConditionError(f"'{text}' is not a condition; write it like: injection >= 0.9")
    name = match[0]
    subject = _subject(name, metrics)
    rest = text[match.end() :].lstrip()
    allowed = TEXT_OPERATORS if subject == "text" else NUMBER_OPERATORS
    operator = _OPERATOR.match(rest)
    if operator is None:
        raise ConditionError(f"'{text}' has no operator; allowed for {name}: {' '.join(allowed)}")
    symbol = " ".join(operator[0].split())
    if symbol not in allowed:
        hint = did_you_mean(_MISTAKEN.get(symbol, symbol), allowed)
        raise ConditionError(
            f"the operator '{symbol}' is not one for {name}{hint}; allowed: {' '.join(allowed)}"
        )
    value = rest[operator.end() :].strip()
    if not value:
        raise ConditionError(f"'{text}' has no value after {symbol}")
    kind: Any = symbol
    if subject != "text":
        number = _number(name, value, single=subject == "metric")
        if name in ranges:
            # A score has single precision, and the threshold takes it: 0.99999999 is 1.
            compared = float(np.float32(number)) if subject == "metric" else number
            _check_range(name, symbol, compared, value, ranges[name])
        return Comparison(subject, name, kind, number)
    return Comparison(subject, name, kind, _text_value(name, symbol, value))


def _subject(name: str, metrics: Mapping[str, str]) -> Subject:
    if name in metrics:
        return "metric"
    if name in NUMBER_FIELDS:
        return "number"
    if name in USAGE:
        return "usage"
    if name in TEXT_FIELDS or (name.startswith(METADATA) and len(name) > len(METADATA)):
        return "text"
    if name == LANGUAGE:
        if LANGUAGE not in metrics.values():
            raise MissingDetectorError(name, LANGUAGE)
        return "text"
    if name.startswith(TERMS):
        sets = [metric for metric in metrics if metric.startswith(TERMS)]
        raise ConditionError(
            f"there is no set of terms '{name.removeprefix(TERMS)}'{did_you_mean(name, sets)}: WEIR_TERMS "
            f"names the folder or the files of sets; there are: {', '.join(sets) or 'none'}"
        )
    if (detector := giver(name)) and detector not in metrics.values():
        raise MissingDetectorError(name, detector)
    fields = (*TEXT_FIELDS, LANGUAGE, *NUMBER_FIELDS, "metadata.<key>")
    raise ConditionError(
        f"there is no metric or event field '{name}'{did_you_mean(name, (*metrics, *fields, *USAGE))}; "
        "`weir check TEXT` lists the metrics, docs/policy.md the fields"
    )


def _check_range(name: str, operator: str, number: float, written: str, allowed: Range) -> None:
    low, high, whole = allowed
    outside = not low <= number <= high or (whole and not number.is_integer())
    never = {">=": number > high, ">": number >= high, "<=": number < low, "<": number <= low, "==": outside}
    always = {">=": number < low, ">": number < low, "<=": number > high, "<": number > high, "!=": outside}
    if never.get(operator) or always.get(operator):
        values = f"is between {low:g} and {high:g}" if high < np.inf else f"is {low:g} or more"
        result = "never holds" if never.get(operator) else "holds whatever the value is"
        # A percentage, or a mark out of ten, by mistake.
        share = number / (100 if number > 10 else 10)
        hint = f"; did you mean {share:g}?" if (low, high) == (0, 1) and 1 < number <= 100 else ""
        raise ConditionError(
            f"{name} {values}{', a whole number' * whole}: {operator} {written} {result}{hint}"
        )


def _number(name: str, value: str, *, single: bool) -> float:
    if _NUMBER.fullmatch(value) is None:
        raise ConditionError(f"{name} is compared with a number such as 0.9, not with '{value}'")
    number = float(value)
    if abs(number) > (_LARGEST if single else np.finfo(np.float64).max):
        raise ConditionError(f"{value} is too large a number for {name}")
    return number


def _text_value(name: str, operator: str, value: str) -> str | tuple[str, ...]:
    words: tuple[str, ...]
    if operator in ("in", "not in"):
        if _LIST.fullmatch(value) is None:
            raise ConditionError(
                f"'{operator}' is followed by a list: {name} {operator} [a, \"b c\"]; got {value}"
            )
        words = tuple(_unquoted(word) for word in re.findall(_WORD, value))
    else:
        if re.fullmatch(_WORD, value) is None:
            raise ConditionError(f'{name} {operator} takes one word, or text in quotes ("b c"); got {value}')
        words = (_unquoted(value),)
    wrong = [word for word in words if name == "kind" and word not in KINDS]
    if wrong:
        raise ConditionError(
            f"there is no kind '{wrong[0]}'{did_you_mean(wrong[0], KINDS)}; allowed: {', '.join(KINDS)}"
        )
    unwritten = [word for word in words if name == LANGUAGE and not _ISO_639.fullmatch(word)]
    if unwritten:
        raise ConditionError(f"a language has two letters, as in ISO 639-1: de, pt; got '{unwritten[0]}'")
    return words if operator in ("in", "not in") else words[0]


def _unquoted(word: str) -> str:
    return word[1:-1] if word[0] in "\"'" else word


def _comparison(value: str, info: ValidationInfo) -> Comparison:
    context = info.context or {}
    return parse_condition(value, context.get("metrics", {}), FIELD_RANGES | context.get("ranges", {}))


def _tag(value: object) -> str | None:
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "any" if "any" in value else "all" if "all" in value else None
    return None


class AnyOf(BaseModel):
    """Holds where at least one of its conditions does."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    any: "tuple[Condition, ...]" = Field(min_length=1)

    @property
    def parts(self) -> "tuple[Condition, ...]":
        """The conditions in it."""
        return self.any

    def __str__(self) -> str:
        return f"any({'; '.join(map(str, self.any))})"


class AllOf(BaseModel):
    """Holds where all of its conditions do."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    all: "tuple[Condition, ...]" = Field(min_length=1)

    @property
    def parts(self) -> "tuple[Condition, ...]":
        """The conditions in it."""
        return self.all

    def __str__(self) -> str:
        return f"all({'; '.join(map(str, self.all))})"


Condition = Annotated[
    Annotated[Comparison, PlainValidator(_comparison), Tag("text")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[AllOf, Tag("all")],
    Discriminator(_tag),
]
"""A comparison, or `any:` / `all:` of conditions."""


def comparisons(conditions: Iterable[Condition]) -> Iterator[Comparison]:
    """Yield every comparison in `conditions`, in the order of the file."""
    for condition in conditions:
        if isinstance(condition, Comparison):
            yield condition
        else:
            yield from comparisons(condition.parts)


def replaced(condition: Condition, made: Callable[[Comparison], Comparison]) -> Condition:
    """Return a condition with what is made of each of its comparisons in its place."""
    if isinstance(condition, Comparison):
        return made(condition)
    key = "any" if isinstance(condition, AnyOf) else "all"
    return condition.model_copy(update={key: tuple(replaced(part, made) for part in condition.parts)})


AnyOf.model_rebuild()
AllOf.model_rebuild()
