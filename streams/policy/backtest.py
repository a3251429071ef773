"""What a draft of a policy would have decided on stored scores: pure, over columns, block by block."""

import heapq
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from schemas.events import VERDICTS
from streams.policy.backtest_report import Change, Report, RuleChange, RuleReport, Sample
from streams.policy.certainty import certainty
from streams.policy.columns import Bools, Rows, Texts
from streams.policy.conditions import comparisons
from streams.policy.reviews import Confusion, Labels
from streams.policy.rule import Rule
from streams.policy.rules import Codes, CompiledPolicy, Outcome

Key = TypeVar("Key", bound=tuple[Any, ...])
ALLOW: Final = 0
BLOCK: Final = VERDICTS.index("block")
_KINDS: Final = len(VERDICTS)
_LOOKED_AT: Final = 200
"""Changed events of a block among which samples are chosen: a draft may change them all."""


@dataclass(frozen=True)
class Block:
    """N events as they were kept."""

    rows: Rows
    apps: Texts
    event_ids: Sequence[str]
    times: npt.NDArray[np.int64]
    """Milliseconds since 1970 (UTC)."""
    decided: Codes
    """(N,): the action that was decided, as index into VERDICTS; -1 for one that is not known here."""
    by_baseline: Bools
    """(N,): the policy that the draft is held against made the decision."""
    degraded: Bools


@dataclass
class _OfRule:
    before: int = 0
    after: int = 0
    gained: int = 0
    lost: int = 0
    unknown: int = 0
    reviewed_before: Confusion = field(default_factory=Confusion)
    reviewed_after: Confusion = field(default_factory=Confusion)


class Backtest:
    """Judges blocks of events by a draft and by the policy it is held against, and counts.

    Counts hold for events whose decision is certain under both; the others are counted apart. Memory grows
    with the apps and rules, not with the events.
    """

    def __init__(self, draft: CompiledPolicy, baseline: CompiledPolicy, samples: int = 5) -> None:
        """`samples`: how many events are shown of each kind of change."""
        self._draft, self._baseline = draft, baseline
        self._most = samples
        self._sampled: dict[tuple[int, int], list[tuple[int, int, Sample]]] = {}
        self._changes: Counter[tuple[str, int, int]] = Counter()
        self._causes: Counter[tuple[str, str, int, int]] = Counter()
        self._shadow: Counter[tuple[str, str, int, int]] = Counter()
        self._before, self._after = np.zeros(_KINDS, np.int64), np.zeros(_KINDS, np.int64)
        names = dict.fromkeys(rule.id for rule in (*draft.rules, *baseline.rules))
        self._columns = {name: (_column(baseline.rules, name), _column(draft.rules, name)) for name in names}
        self._rules = {name: _OfRule() for name in names}
        self._because: Counter[str] = Counter()
        self._reviewed_before, self._reviewed_after = Confusion(), Confusion()
        self._report = Report()

    def add(self, block: Block) -> None:
        """Count the events of a block."""
        before, after = self._baseline.judge(block.rows), self._draft.judge(block.rows)
        certain = self._certain(block, before, after)
        report, rows = self._report, block.rows
        report.events += rows.count
        report.replayed += int(certain.sum())
        report.degraded += int(block.degraded.sum())
        if rows.failed:
            report.failed += int(np.logical_or.reduce(list(rows.failed.values())).sum())
        report.decided_by_baseline += int(block.by_baseline.sum())
        same = before.action == block.decided
        report.decided_alike += int((block.by_baseline & certain & same).sum())
        report.decided_otherwise += int((block.by_baseline & certain & ~same).sum())
        if rows.count:
            report.first_ms = min(report.first_ms or block.times.min().item(), block.times.min().item())
            report.last_ms = max(report.last_ms, block.times.max().item())
        self._before += np.bincount(before.action[certain], minlength=_KINDS)
        self._after += np.bincount(after.action[certain], minlength=_KINDS)
        self._count_rules(before.hits & certain[:, None], after.hits & certain[:, None])
        self._count_changes(block, before, after, certain)
        self._count_shadow(block, after, certain)

    def review(self, block: Block, labels: Sequence[Labels]) -> None:
        """Hold both policies against what reviewers said of the events of a block."""
        before, after = self._baseline.judge(block.rows), self._draft.judge(block.rows)
        overall = [each.overall for each in labels]
        self._report.reviewed += sum(each.overall is not None or bool(each.by_name) for each in labels)
        self._report.disputed += sum(each.disputed for each in labels)
        for confusion, outcome in ((self._reviewed_before, before), (self._reviewed_after, after)):
            _confuse(confusion, outcome.action > ALLOW, overall)
        for name, (old, new) in self._columns.items():
            of_rule = self._rules[name]
            for column, outcome, confusion in (
                (old, before, of_rule.reviewed_before),
                (new, after, of_rule.reviewed_after),
            ):
                if column is not None:
                    names = _judged_as(outcome.policy.rules[column])
                    _confuse(confusion, outcome.hits[:, column], [each.of(names) for each in labels])

    def report(self) -> Report:
        """Return what was counted."""
        report = self._report
        report.actions_before = _named(self._before)
        report.actions_after = _named(self._after)
        report.changes = [
            Change(app, VERDICTS[old], VERDICTS[new], count)
            for (app, old, new), count in _largest(self._changes)
        ]
        report.causes = [RuleChange(*_worded(key), count) for key, count in _largest(self._causes)]
        report.shadow = [RuleChange(*_worded(key), count) for key, count in _largest(self._shadow)]
        report.rules = list(self._of_rules())
        report.alerts_before = sum(rule.before for rule in report.rules if rule.alerts_before)
        report.alerts_after = sum(rule.after for rule in report.rules if rule.alerts_after)
        report.unknown_because = dict(self._because)
        report.precision_before = self._reviewed_before.precision
        report.precision_after = self._reviewed_after.precision
        report.recall_before, report.recall_after = self._reviewed_before.recall, self._reviewed_after.recall
        report.samples = [
            sample
            for _, chosen in sorted(self._sampled.items())
            for *_, sample in sorted(chosen, reverse=True)
        ]
        return report

    def _certain(self, block: Block, before: Outcome, after: Outcome) -> Bools:
        """Return (N,): where what is not known changes nothing; count the others."""
        rows = block.rows
        if not rows.unknown and not rows.unsaid:
            return np.ones(rows.count, bool)
        found = certainty(rows, before, after, self._columns, blocks=BLOCK)
        unknown = ~found.decided & ~found.alike
        for name, mask in (*rows.unknown.items(), *rows.unsaid.items()):
            if count := int((mask & unknown).sum()):
                self._because[name] += count
        self._report.unknown += int(unknown.sum())
        self._report.alike += int(found.alike.sum())
        self._report.may_be_new_blocks += int(found.may_block.sum())
        for name, unsure in found.unsure.items():
            self._rules[name].unknown += int(unsure.sum())
        return found.decided

    def _count_rules(self, before: Bools, after: Bools) -> None:
        nothing = np.zeros(len(before), bool)
        for name, (first, second) in self._columns.items():
            old = nothing if first is None else before[:, first]
            new = nothing if second is None else after[:, second]
            of_rule, both = self._rules[name], int((old & new).sum())
            hits_before, hits_after = int(old.sum()), int(new.sum())
            of_rule.before += hits_before
            of_rule.after += hits_after
            of_rule.lost += hits_before - both
            of_rule.gained += hits_after - both

    def _count_changes(self, block: Block, before: Outcome, after: Outcome, certain: Bools) -> None:
        changed = np.flatnonzero((before.action != after.action) & certain)
        if not changed.size:
            return
        old, new = before.action[changed], after.action[changed]
        for app, one, other, count in _counted(block.apps, changed, old, new):
            self._changes[app, one, other] += count
            if other == BLOCK:
                self._report.new_blocks += count
        for name, (first, second) in self._columns.items():
            differs = _effect(before, first, changed) != _effect(after, second, changed)
            for app, one, other, count in _counted(block.apps, changed[differs], old[differs], new[differs]):
                self._causes[name, app, one, other] += count
        for row in changed[:_LOOKED_AT].tolist():
            self._sample(block, before, after, row)

    def _count_shadow(self, block: Block, after: Outcome, certain: Bools) -> None:
        for column, rule in enumerate(self._draft.rules):
            if rule.mode != "shadow":
                continue
            code = self._draft.codes(failed=False)[column]
            rows = np.flatnonzero(after.hits[:, column] & certain & (after.action < code))
            wanted = np.full(rows.size, code)
            for app, one, other, count in _counted(block.apps, rows, after.action[rows], wanted):
                self._shadow[rule.id, app, one, other] += count

    def _sample(self, block: Block, before: Outcome, after: Outcome, row: int) -> None:
        """Keep the event if its id is among those with the smallest hashes: the same ones every time."""
        old, new = int(before.action[row]), int(after.action[row])
        app, event_id = block.apps.at(row), block.event_ids[row]
        rank = -zlib.crc32(f"{app}\0{event_id}".encode("utf-8", "replace"))
        chosen = self._sampled.setdefault((old, new), [])
        if len(chosen) >= self._most and (not chosen or rank <= chosen[0][0]):
            return
        rules_before, rules_after = before.rules_hit(row), after.rules_hit(row)
        asked = dict.fromkeys(
            each.name
            for rule in {*rules_before} ^ {*rules_after} or {*rules_after}
            for each in comparisons(rule.when)
            if each.subject == "metric"
        )
        scores = {name: float(block.rows.scores[name][row]) for name in sorted(asked)}
        sample = Sample(
            app=app,
            event_id=event_id,
            timestamp=int(block.times[row]),
            before=VERDICTS[old],
            after=VERDICTS[new],
            rules_before=[rule.id for rule in rules_before],
            rules_after=[rule.id for rule in rules_after],
            scores={name: round(score, 6) for name, score in scores.items() if score == score},
        )
        heapq.heappush(chosen, (rank, self._report.events + row, sample))
        if len(chosen) > self._most:
            heapq.heappop(chosen)

    def _of_rules(self) -> Iterator[RuleReport]:
        for name, (first, second) in self._columns.items():
            old = None if first is None else self._baseline.rules[first]
            new = None if second is None else self._draft.rules[second]
            counts = self._rules[name]
            yield RuleReport(
                rule=name,
                mode_before=old.mode if old else "off",
                mode_after=new.mode if new else "off",
                before=counts.before,
                after=counts.after,
                gained=counts.gained,
                lost=counts.lost,
                unknown=counts.unknown,
                alerts_before=bool(old and old.alert),
                alerts_after=bool(new and new.alert),
                precision_before=counts.reviewed_before.precision,
                precision_after=counts.reviewed_after.precision,
                recall_before=counts.reviewed_before.recall,
                recall_after=counts.reviewed_after.recall,
            )


def _column(rules: Sequence[Rule], name: str) -> int | None:
    return next((number for number, rule in enumerate(rules) if rule.id == name), None)


def _judged_as(rule: Rule) -> tuple[str, ...]:
    return (rule.id, *(each.name for each in comparisons(rule.when) if each.subject == "metric"))


def _confuse(confusion: Confusion, acted: Bools, wanted: Sequence[bool | None]) -> None:
    rows = [row for row, label in enumerate(wanted) if label is not None]
    confusion.add(acted[rows], np.array([wanted[row] for row in rows], bool))


def _effect(outcome: Outcome, column: int | None, rows: npt.NDArray[np.intp]) -> Codes:
    """Return what a rule asks for in some rows: 0 where it does not hit, is not enforced or is not there."""
    if column is None or not outcome.policy.enforced[column]:
        return np.zeros(rows.size, np.int8)
    failed, hits = outcome.failed[rows, column], outcome.hits[rows, column]
    codes = [outcome.policy.codes(failed=by_failure)[column] for by_failure in (True, False)]
    effect: Codes = np.where(failed, *codes) * hits
    return effect


def _counted(
    apps: Texts, rows: npt.NDArray[np.intp], old: Codes, new: Codes
) -> Iterator[tuple[str, int, int, int]]:
    """Yield app, both actions and a count."""
    keys, counts = np.unique((apps.codes[rows] * _KINDS + old) * _KINDS + new, return_counts=True)
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        yield apps.different[key // _KINDS**2], key // _KINDS % _KINDS, key % _KINDS, count


def _largest(counts: Counter[Key]) -> list[tuple[Key, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def _worded(key: tuple[str, str, int, int]) -> tuple[str, str, str, str]:
    rule, app, old, new = key
    return rule, app, VERDICTS[old], VERDICTS[new]


def _named(counts: npt.NDArray[np.int64]) -> dict[str, int]:
    return {VERDICTS[code]: count for code, count in enumerate(counts.tolist())}
