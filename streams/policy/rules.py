"""Judges a batch: the rules of a policy, compiled once and evaluated over the columns of a score matrix.

Pure: no file, no clock, no Kafka. `file` reads a policy, `reload` watches one.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from schemas.events import SEVERITIES, VERDICTS, Event, Mode, RuleHit
from schemas.fields import LANGUAGE
from streams.policy.columns import Numbers, Rows, field_column, holds, texts
from streams.policy.conditions import AnyOf, Comparison, Condition, comparisons
from streams.policy.rule import Rule, meaning

Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]
FloatMatrix = npt.NDArray[np.float32]
Truth = Mapping[Comparison, Bools]
"""(N,) per comparison: where it holds."""


@dataclass(frozen=True)
class Policy:
    """A validated policy. `owners` names, for every metric that exists, the detector that gives it."""

    version: str
    name: str
    rules: tuple[Rule, ...]
    owners: Mapping[str, str] = field(repr=False)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of what the file means, 64 hex digits: comments and written-out defaults do not count."""
        content = {"version": self.version, "name": self.name, "rules": list(map(meaning, self.rules))}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def hash(self) -> str:
        """The first 12 digits of `sha256`, as decisions and alerts carry it."""
        return self.sha256[:12]

    def compile(
        self, metrics: Sequence[str], counted: Mapping[str, str] = MappingProxyType({})
    ) -> "CompiledPolicy":
        """Bind the rules to the columns of a score matrix, named by `metrics` in order.

        `counted` are the kinds of findings that can be counted, each with the metric of all of them. Raises
        ValueError where a rule that is not off needs a metric that is not among them.
        """
        return CompiledPolicy(self, tuple(metrics), counted)


@dataclass(frozen=True)
class Outcome:
    """What a policy says about a batch of N events; the columns are the R rules that are not off."""

    policy: "CompiledPolicy"
    hits: Bools
    """(N, R): the rule hits."""
    failed: Bools
    """(N, R): the rule hits only because a detector that it needs failed, or had no time for all it reads,
    and it is closed on that."""
    verdict: Codes
    """(N,): index into VERDICTS of the strongest action of all rules that hit, shadow rules included."""
    action: Codes
    """(N,): the same over the rules in mode enforce."""
    severity: Codes
    """(N,): index into SEVERITIES of the gravest rule that hit, shadow rules included."""
    alert: Bools
    """(N,): a rule that hits wants an alert."""
    truth: Truth = field(repr=False)
    beside: Mapping[str, Numbers] = field(repr=False)
    """(N,) by name: what the policy asked beside the scores and the fields: of the usage, and counts."""

    def rules_hit(self, row: int) -> tuple[Rule, ...]:
        """Return the rules that `row` tripped, in the order of the policy."""
        return tuple(self.policy.rules[column] for column in np.flatnonzero(self.hits[row]))

    def rule_hits(self, row: int, matrix: FloatMatrix) -> tuple[RuleHit, ...]:
        """Return the rules that `row` tripped, in the order of the policy; `matrix` as it was evaluated."""
        return tuple(self._rule_hit(row, int(column), matrix) for column in np.flatnonzero(self.hits[row]))

    def _rule_hit(self, row: int, column: int, matrix: FloatMatrix) -> RuleHit:
        rule = self.policy.rules[column]
        failed = bool(self.failed[row, column])
        mode: Mode = "shadow" if rule.mode == "shadow" else "enforce"
        metric = None if failed else self._deciding(rule.when, row)
        return RuleHit(
            rule=rule.id,
            action=VERDICTS[self.policy.codes(failed=failed)[column]],
            severity=rule.severity,
            mode=mode,
            metric=metric or "",
            score=round(float(self._column(metric, matrix)[row]), 6) if metric else None,
            failed=failed,
        )

    def _column(self, name: str, matrix: FloatMatrix) -> Numbers:
        return self.beside[name] if name in self.beside else matrix[:, self.policy.columns[name]]

    def _deciding(self, conditions: Sequence[Condition], row: int) -> str | None:
        """Return the first metric, or name of usage, whose comparison made the conditions hold."""
        for condition in conditions:
            if not _holds(condition, self.truth)[row]:
                continue
            if not isinstance(condition, Comparison):
                if metric := self._deciding(condition.parts, row):
                    return metric
            elif condition.subject in ("metric", "usage"):
                return condition.name
        return None


class CompiledPolicy:
    """A policy bound to the columns of a score matrix; `rules` are those that are not off, in order."""

    def __init__(self, policy: Policy, metrics: tuple[str, ...], counted: Mapping[str, str]) -> None:
        self.policy = policy
        self.metrics = metrics
        self._counted = counted
        self.columns = {name: column for column, name in enumerate(metrics)}
        self.rules = tuple(rule for rule in policy.rules if rule.mode != "off")
        self.asks = tuple(
            dict.fromkeys(c for rule in self.rules for c in comparisons((*rule.when, *rule.unless)))
        )
        """Every comparison, once."""
        asked = {c.name for c in self.asks if c.subject == "metric"}
        self.counts = tuple(sorted(asked.intersection(counted).difference(metrics)))
        """The kinds of findings that it counts."""
        missing = asked.difference(metrics, self.counts)
        if missing:
            raise ValueError(
                f"the policy needs metrics that no loaded detector gives: {', '.join(sorted(missing))}"
            )
        self._fields = {c.name for c in self.asks if c.subject in ("number", "text")}
        self._fields -= {LANGUAGE}
        self._fields |= {"app" for c in self.asks if c.by_app}
        self.usage = tuple(dict.fromkeys(c.name for c in self.asks if c.subject == "usage"))
        """What it asks of the usage, as `schemas.fields.USAGE` names it."""
        self._codes = np.array([VERDICTS.index(rule.action) for rule in self.rules], np.int8)
        # Where the detector failed there is nothing to redact by, and closed means: not past this point.
        redact, block = VERDICTS.index("redact"), VERDICTS.index("block")
        self._failed_codes = np.where(self._codes == redact, np.int8(block), self._codes)
        self._severities = np.array([SEVERITIES.index(rule.severity) for rule in self.rules], np.int8)
        self.enforced = np.array([rule.mode == "enforce" for rule in self.rules], bool)
        self.alerting = np.array([rule.alert for rule in self.rules], bool)

    def bound_to(self, metrics: tuple[str, ...]) -> "CompiledPolicy":
        """Return the policy for the columns of another matrix; raises ValueError as `Policy.compile` does."""
        return self if metrics == self.metrics else self.policy.compile(metrics, self._counted)

    def codes(self, *, failed: bool) -> Codes:
        """Return each rule's action (R,) as index into VERDICTS: of an ordinary or of a failure's hit."""
        return self._failed_codes if failed else self._codes

    def evaluate(
        self,
        matrix: FloatMatrix,
        events: Sequence[Event],
        failed: Collection[str] = (),
        unsure: Bools | None = None,
        beside: Mapping[str, Numbers] = MappingProxyType({}),
        languages: Sequence[str] = (),
    ) -> Outcome:
        """Judge N events by their scores.

        Args:
            matrix: float32 (N, M), columns as given to `compile`; NaN means "does not apply".
            events: the N events, in the order of the rows.
            failed: names of the detectors that gave no scores for this batch; whatever stands in their
                columns is not looked at.
            unsure: (N, M): scores that rest on less than they should; they count as they are, but for rules
                that are closed on that.
            beside: (N,) by name: usage and counts; NaN, as where nothing is given, means "does not apply".
            languages: of the N texts; empty, as where none are given, means that it is not known.

        """
        if matrix.shape != (len(events), len(self.metrics)):
            raise ValueError(f"expected a matrix of {len(events)} x {len(self.metrics)}, got {matrix.shape}")
        always = np.ones(len(events), bool)
        nothing = np.full(len(events), np.nan)
        doubted = {} if unsure is None or not unsure.any() else self.columns
        doubts = {name: unsure[:, column] for name, column in doubted.items() if unsure is not None}
        doubts |= {name: doubts[of] for name in self.counts if (of := self._counted[name]) in doubts}
        return self.judge(
            Rows(
                count=len(events),
                scores={name: matrix[:, column] for name, column in self.columns.items()}
                | {name: beside.get(name, nothing) for name in self.counts},
                fields={name: field_column(name, events) for name in self._fields}
                | {name: beside.get(name, nothing) for name in self.usage}
                | {LANGUAGE: texts(languages or [""] * len(events))},
                failed=dict.fromkeys(failed, always),
                unsure=doubts,
            )
        )

    def judge(self, rows: Rows, unknown: Literal["spare", "catch"] = "spare") -> Outcome:
        """Judge N events that are columns.

        What is not known of an event counts in its favour (`spare`) or against it (`catch`): where both
        come to the same, it does not matter.
        """
        truth = {c: holds(c, rows.column(c), rows.fields.get("app")) for c in self.asks}
        for_when, for_unless = self._leaning(truth, rows, against=unknown == "catch")
        lost = {c: mask for c in truth if (mask := self._failed(c, rows)) is not None}
        spared = _changed(for_when, lost, holding=False), _changed(for_unless, lost, holding=True)
        hits = np.zeros((len(self.rules), rows.count), bool).T  # a rule's column lies together in memory
        for column, rule in enumerate(self.rules):
            hits[:, column] = _hits(rule, *spared)
        by_failure = np.zeros_like(hits)
        if lost:
            caught = _changed(for_when, lost, holding=True), _changed(for_unless, lost, holding=False)
            self._close(by_failure, caught, "on_failure")
        if rows.unsure:
            doubted = {c: rows.unsure[c.name] for c in truth if c.name in rows.unsure}
            caught = _changed(spared[0], doubted, holding=True), _changed(spared[1], doubted, holding=False)
            self._close(by_failure, caught, "on_degraded")
        by_failure &= ~hits
        hits |= by_failure
        for column, rule in enumerate(self.rules):
            if found := rows.recorded.get(rule.id):
                hits[found.known, column] = found.hits[found.known]
                by_failure[found.known, column] = found.by_failure[found.known]
        return self._outcome(hits, by_failure, spared[0], rows)

    def _leaning(self, truth: Truth, rows: Rows, *, against: bool) -> tuple[Truth, Truth]:
        """Return what holds for `when` and for `unless`, with what is not known for or against the events."""
        unknown = {c: rows.unknown[c.name] for c in truth if c.name in rows.unknown}
        unsaid = {c: rows.unsaid[c.name] for c in truth if c.name in rows.unsaid}
        present, absent = truth, _changed(truth, unsaid, holding=False)
        for_when, for_unless = (present, absent) if against else (absent, present)
        return _changed(for_when, unknown, holding=against), _changed(
            for_unless, unknown, holding=not against
        )

    def _outcome(self, hits: Bools, by_failure: Bools, truth: Truth, rows: Rows) -> Outcome:
        codes = np.where(by_failure, self._failed_codes, self._codes) if by_failure.any() else self._codes
        found = hits * codes
        return Outcome(
            policy=self,
            hits=hits,
            failed=by_failure,
            verdict=found.max(axis=1, initial=0),
            action=found[:, self.enforced].max(axis=1, initial=0),
            severity=(hits * self._severities).max(axis=1, initial=0),
            alert=np.logical_or.reduce(hits[:, self.alerting], axis=1),
            truth=truth,
            beside={name: rows.numbers(name) for name in self.usage}
            | {name: rows.scores[name] for name in self.counts},
        )

    def _close(
        self, by_failure: Bools, caught: tuple[Truth, Truth], key: Literal["on_failure", "on_degraded"]
    ) -> None:
        """Mark the rows where a rule that is closed hits, were the scores that nobody knows against it."""
        for column, rule in enumerate(self.rules):
            if getattr(rule, key) == "closed":
                by_failure[:, column] |= _hits(rule, *caught)

    def _failed(self, comparison: Comparison, rows: Rows) -> Bools | None:
        of_field = LANGUAGE if comparison.name == LANGUAGE else ""
        owner = self.policy.owners.get(comparison.name, "") if comparison.subject == "metric" else of_field
        return rows.failed.get(owner)


def _changed(truth: Truth, rows: Truth, *, holding: bool) -> Truth:
    """Return the truth with some comparisons said to hold, or not to, in some of their rows."""
    if not rows:
        return truth
    return {**truth, **{c: truth[c] | mask if holding else truth[c] & ~mask for c, mask in rows.items()}}


def _hits(rule: Rule, for_when: Truth, for_unless: Truth) -> Bools:
    hits = reduce(np.logical_and, (_holds(condition, for_when) for condition in rule.when))
    return reduce(lambda left, each: left & ~_holds(each, for_unless), rule.unless, hits)


def _holds(condition: Condition, truth: Truth) -> Bools:
    if isinstance(condition, Comparison):
        return truth[condition]
    join = np.logical_or if isinstance(condition, AnyOf) else np.logical_and
    return reduce(join, (_holds(part, truth) for part in condition.parts))
