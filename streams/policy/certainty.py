"""Where a replay is certain, though not all is known of an event: pure, over columns."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from streams.policy.columns import Bools, Rows
from streams.policy.rule import Rule, digest
from streams.policy.rules import CompiledPolicy, Outcome

Columns = Mapping[str, tuple[int | None, int | None]]
"""Where each rule stands in the policy of before and in that of after."""


class Certainty(NamedTuple):
    """Of N events, what is certain of two policies."""

    decided: Bools
    """(N,): what is not known changes neither decision."""
    alike: Bools
    """(N,): a decision is not certain, but both are the same: the rules that it depends on are in both."""
    may_block: Bools
    """(N,): the second policy may block it where the first does not."""
    unsure: Mapping[str, Bools]
    """(N,) by rule: it is not known whether it hits."""


def certainty(rows: Rows, before: Outcome, after: Outcome, columns: Columns, *, blocks: int) -> Certainty:
    """Hold what is decided if nothing unknown holds, `before` and `after`, against what is if all of it does.

    `blocks` is the code of the action `block`.
    """
    old, new = before.policy.judge(rows, "catch"), after.policy.judge(rows, "catch")
    decided: Bools = (old.action == before.action) & (new.action == after.action)
    unsure: dict[str, Bools] = {}
    of_one = np.zeros(rows.count, bool)
    for name, (first, second) in columns.items():
        unsure[name] = np.zeros(rows.count, bool)
        for column, least, most in ((first, before, old), (second, after, new)):
            if column is not None:
                unsure[name] |= least.hits[:, column] != most.hits[:, column]
        if not _is_shared(before.policy, after.policy, first, second):
            of_one |= unsure[name]
    alike: Bools = ~decided & ~of_one & (before.action == after.action)
    # A rule that is in both blocks under both: what it makes of an event is no new block.
    blocked = np.where(of_one, new.action, after.action) == blocks
    may_block: Bools = ~decided & blocked & (before.action != blocks)
    return Certainty(decided, alike, may_block, unsure)


def _is_shared(old: CompiledPolicy, new: CompiledPolicy, first: int | None, second: int | None) -> bool:
    """Return whether a rule hits the same events, and does the same to them, in both policies."""
    if first is None or second is None:
        return False
    return _deciding(old.rules[first]) == _deciding(new.rules[second])


def _deciding(rule: Rule) -> tuple[str, str, str]:
    return digest(rule), rule.action, rule.mode
