"""Reads and validates a policy file."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from detectors.base import Range
from streams.errors import UserError, did_you_mean
from streams.policy.conditions import FIELD_RANGES, AllOf, AnyOf, MissingDetectorError
from streams.policy.contradictions import contradiction
from streams.policy.per_app import bound
from streams.policy.rule import Rule
from streams.policy.rules import Policy
from streams.policy.yaml_subset import MAX_BYTES, Document, Problem, YamlError, read

Ranges = Mapping[str, Range]
_NO_RANGES: Ranges = MappingProxyType({})
_SHOWN = 50
"""Problems that are told, at most: a file that is no policy may have one in each line."""
_CONDITION = "a condition is text such as: injection >= 0.9, or a list under any: or all:"
_EXPECTED = {
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "too_short": "must have at least one entry",
    "dict_type": "must be a mapping of keys to values",
    **dict.fromkeys(("float_parsing", "float_type"), "must be a number such as 0.5"),
    **dict.fromkeys(("greater_than", "less_than"), "must be between 0 and 1, a share such as 0.5"),
    **dict.fromkeys(("int_parsing", "int_type"), "must be a whole number"),
    **dict.fromkeys(("greater_than_equal", "less_than_equal"), "must be between 1 and 1,000,000"),
    "model_type": "must be a mapping of keys to values",
    "string_pattern_mismatch": "must be of a-z, 0-9, '.', '_' and '-', and begin with a letter or digit",
}


class PolicyError(UserError):
    """A policy that cannot be used; the message has one line, `file:line: what is wrong`, per problem."""

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems = tuple(sorted(set(problems), key=lambda problem: (problem.line, problem.message)))
        lines = [self._line(problem) for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            lines.append(f"{source}: and {len(self.problems) - _SHOWN} more problems")
        super().__init__("\n".join(lines))

    def _line(self, problem: Problem) -> str:
        where = f"{self.source}:{problem.line}" if problem.line else self.source
        return f"{where}: {' '.join(problem.message.split())[:2000]}"


class _PolicyDocument(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(min_length=1, max_length=64)]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]


def load(path: Path | str, metrics: Mapping[str, str], ranges: Ranges = _NO_RANGES) -> Policy:
    """Read the policy file at `path`.

    Args:
        path: the YAML file.
        metrics: every metric that exists, with the name of the detector that gives it.
        ranges: the values that a metric can have, where that is known.

    Raises:
        PolicyError: the file cannot be read, or something in it is wrong.

    """
    try:
        with Path(path).open("rb") as file:
            # One more than allowed shows that there is more, without reading all of a wrong file.
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PolicyError(str(path), [Problem(0, f"the policy cannot be read: {reason}")]) from None
    return parse(data, metrics, ranges, source=str(path))


def rule_ids(path: Path | str) -> list[str]:
    """Return the ids of the rules in a file, right or wrong: none where it cannot be read."""
    try:
        document = read(Path(path).read_bytes()[: MAX_BYTES + 1])
    except (OSError, ValueError, YamlError):
        return []
    rules = document.value.get("rules") if isinstance(document.value, dict) else None
    named = [rule.get("id") for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
    return [name for name in named if isinstance(name, str)]


def parse(
    data: bytes | str, metrics: Mapping[str, str], ranges: Ranges = _NO_RANGES, *, source: str = "policy"
) -> Policy:
    """Validate the text of a policy, as `load` does; `source` is the name that errors give it."""
    try:
        document = read(data.encode("utf-8", "replace") if isinstance(data, str) else data)
    except YamlError as error:
        raise PolicyError(source, [error.problem]) from None
    problems = [*document.problems, *_repeated_ids(document)]
    try:
        model = _PolicyDocument.model_validate(document.value, context={"metrics": metrics, "ranges": ranges})
    except ValidationError as error:
        details = [each for each in error.errors(include_url=False) if not _follows_from_another(each)]
        # One mistake, a detector that does not run, shows in many rules: it is told once.
        missing = [each for each in details if _missing_detector(each)]
        wrong = [each for each in details if each not in missing]
        problems += [Problem(document.line_of(each["loc"]), _explain(each)) for each in wrong]
        if missing:
            problems.append(_of_missing_detectors(missing, document))
        raise PolicyError(source, problems) from None
    # Of rules that are valid by themselves: what excludes what can only be asked of those.
    known = FIELD_RANGES | dict(ranges)
    problems += _contradictions(model, document, known)
    rules = []
    for number, rule in enumerate(model.rules):
        found = bound(rule, metrics, known)
        if isinstance(found, Rule):
            rules.append(found)
        else:
            problems += [Problem(document.line_of(("rules", number, *place)), why) for place, why in found]
    if problems:
        raise PolicyError(source, problems)
    return Policy(model.version, model.name, tuple(rules), dict(metrics))


def _contradictions(model: _PolicyDocument, document: Document, ranges: Ranges) -> list[Problem]:
    return [
        Problem(document.line_of(("rules", number, "when")), f"no event can meet all of these: {excluding}")
        for number, rule in enumerate(model.rules)
        if (excluding := contradiction(rule.when, ranges, rule.unless))
    ]


def _missing_detector(error: ErrorDetails) -> str:
    cause = error.get("ctx", {}).get("error")
    return cause.detector if isinstance(cause, MissingDetectorError) else ""


def _of_missing_detectors(errors: Sequence[ErrorDetails], document: Document) -> Problem:
    """Return one problem for all rules that need detectors that do not run: with a few detectors of one's
    own, that is most of a policy.
    """
    rules: dict[str, list[str]] = {}
    for error in errors:
        name = _rule_name(document, error["loc"])
        named = rules.setdefault(_missing_detector(error), [])
        if name not in named:
            named.append(name)
    needed = "; ".join(f"{detector} for {', '.join(names)}" for detector, names in rules.items())
    return Problem(
        document.line_of(errors[0]["loc"]),
        f"rules need detectors that do not run: {needed}. Run them (WEIR_DETECTORS=+NAME adds one to the "
        "default ones, NAME,NAME runs only these), take the rules out, or set WEIR_POLICY to another file",
    )


def _rule_name(document: Document, location: tuple[str | int, ...]) -> str:
    rule: Any = document.value
    for part in location[:2]:
        rule = rule[part]
    return str(rule.get("id", f"rule {location[1]}"))


def _repeated_ids(document: Document) -> list[Problem]:
    rules = document.value.get("rules") if isinstance(document.value, dict) else None
    seen: dict[str, int] = {}
    problems = []
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        name = rule.get("id") if isinstance(rule, dict) else None
        if not isinstance(name, str):
            continue
        line = document.line_of(("rules", number, "id"))
        if name in seen:
            problems.append(Problem(line, f"the rule id '{name}' stands twice (first in line {seen[name]})"))
        seen.setdefault(name, line)
    return problems


def _follows_from_another(error: ErrorDetails) -> bool:
    """Tell errors that pydantic adds where an entry or a sibling is wrong already."""
    left_short = error["type"] == "too_short" and bool(error["input"])
    return left_short or error["type"] == "default_factory_not_called"


def _explain(error: ErrorDetails) -> str:
    """Say in our words what pydantic found."""
    location, kind, value = error["loc"], error["type"], error["input"]
    name = _name(location)
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "extra_forbidden":
        allowed = _fields_at(location)
        return f"unknown key {name}{did_you_mean(str(location[-1]), allowed)}; allowed: {', '.join(allowed)}"
    if kind == "missing":
        return f"{name} is missing"
    if kind == "union_tag_not_found":
        return _colon_hint(value) or _CONDITION
    if value is None:
        return f"{name} has no value"
    if kind == "literal_error":
        choices: tuple[str, ...] = get_args(Rule.model_fields[str(location[-1])].annotation)
        hint = did_you_mean(str(value), choices)
        return f"{name} cannot be {value!r:.80}{hint}; allowed: {', '.join(choices)}"
    if kind == "string_too_long":
        return f"{name} is longer than {error['ctx']['max_length']} characters"
    if kind == "string_too_short":
        return f"{name} is empty"
    return f"{name} {_EXPECTED.get(kind, error['msg'])}, not {_described(value)}"


def _name(location: tuple[str | int, ...]) -> str:
    words = [part for part in location if isinstance(part, str)]
    if not location:
        return "the policy"
    return f"'{words[-1]}'" if isinstance(location[-1], str) else f"an entry of '{words[-1]}'"


def _fields_at(location: tuple[str | int, ...]) -> list[str]:
    model: type[BaseModel] = _PolicyDocument
    if len(location) == 3:
        model = Rule
    elif len(location) > 3:
        model = AnyOf if location[-2] == "any" else AllOf
    return list(model.model_fields)


def _colon_hint(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1 and not {"any", "all"} & {*value}:
        (key,) = value
        return f"unknown key '{key:.80}'; {_CONDITION} (a condition that contains ': ' must stand in quotes)"
    return ""


def _described(value: Any) -> str:
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "a mapping" if isinstance(value, dict) else f"{value!r:.80}"
