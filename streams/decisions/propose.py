"""Proposes thresholds for a rule, from what reviewers said of events on both sides of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from streams.decisions.scoring import make_runner, owners
from streams.decisions.settings import DecisionSettings
from streams.errors import UserError, did_you_mean
from streams.policy.backtest import Block
from streams.policy.conditions import Comparison, comparisons, replaced
from streams.policy.file import load
from streams.policy.reviews import Labels, Share, share
from streams.policy.rule import Rule
from streams.policy.rules import Policy
from streams.store.chosen import Chosen
from streams.store.client import Store
from streams.store.reviews import REVIEWED, reviews
from streams.store.scored import Detectors, Reader

RESAMPLES: Final = 500
Numbers = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Proposal(msgspec.Struct, frozen=True):
    """A threshold of one comparison with which the rule would have had the precision that is wanted."""

    rule: str
    metric: str
    operator: str
    now: float
    wanted: float
    reviewed: int
    """Reviewed events on which the rule hits or not by this comparison alone."""
    right: int
    """Of these, those that should be acted upon."""
    threshold: float | None
    """The lowest one, of `>=`, with that precision on them; None where none has it."""
    low: float | None
    """Where it would lie had others of their kind been reviewed: 95 % of resamples."""
    high: float | None
    sure: float | None
    """The lowest one where the precision is so high at the low end of its interval."""
    precision: Share | None
    """At `threshold`."""
    recall: Share | None
    precision_now: Share | None
    recall_now: Share | None


def propose(
    rule_id: str, wanted: float, app: str, file: Path, settings: DecisionSettings, store: Store
) -> list[Proposal]:
    """Return a threshold for each comparison of a rule with a score, whether or not one was found.

    `UserError` where it has no such comparison, or no review says anything of one.

    Raises `StoreError` and the errors of `policy.file.load`.
    """
    runner = make_runner(settings)
    try:
        policy = load(file, owners(runner), runner.ranges)
        rule = _named(policy, rule_id)
        compared = _compared(rule)
        compiled = replace(policy, rules=_ends(rule, compared)).compile(runner.metrics, runner.counted)
        reader = Reader(store, compiled.asks, Detectors(owners(runner), runner.read_closely, runner.counted))
    finally:
        runner.close()
    chosen = Chosen(app=app)
    said = reviews(store, chosen)
    found: list[list[tuple[float, bool]]] = [[] for _ in compared]
    for block in reader.blocks(chosen, REVIEWED) if said else ():
        hits = compiled.judge(block.rows).hits
        for number, own in enumerate(compared):
            # Where it hits however high the threshold is, another condition decides.
            decided = hits[:, 2 * number] & ~hits[:, 2 * number + 1]
            found[number] += _labelled(block, decided, (rule_id, own.name), said)
    if not any(found):
        raise UserError(
            f"nobody has reviewed an event on which the other conditions of {rule_id!r} hold: "
            "see `weir feedback`, or the review page of the desk"
        )
    return [
        chosen_from(
            np.array([score for score, _ in pairs]), np.array([right for _, right in pairs], bool),
            rule_id, own.of(app), wanted,
        )
        for own, pairs in zip(compared, found, strict=True)
    ]  # fmt: skip


def _labelled(
    block: Block, decided: Bools, names: tuple[str, str], said: Mapping[tuple[str, str], Labels]
) -> list[tuple[float, bool]]:
    """Return the score, and whether it should be acted upon, of each of the rows of which that is known."""
    _, metric = names
    found = []
    for row in np.flatnonzero(decided).tolist():
        label = said.get((block.apps.at(row), block.event_ids[row]), Labels()).of(names)
        if label is not None:
            found.append((float(block.rows.scores[metric][row]), label))
    return found


def _named(policy: Policy, rule_id: str) -> Rule:
    names = {rule.id: rule for rule in policy.rules}
    if rule_id not in names:
        hint = did_you_mean(rule_id, names)
        raise UserError(f"no rule {rule_id!r}{hint}; the policy has: {', '.join(names)}")
    return names[rule_id]


def _compared(rule: Rule) -> list[Comparison]:
    """Return the comparisons whose thresholds are looked for, once each."""
    metrics = dict.fromkeys(each for each in comparisons(rule.when) if each.subject == "metric")
    rising = [each for each in metrics if each.operator in (">=", ">")]
    if not rising:
        raise UserError(f"{rule.id!r} asks for no score that is high: it has no condition `metric >= number`")
    return rising


def _ends(rule: Rule, compared: Sequence[Comparison]) -> tuple[Rule, ...]:
    """Return of each comparison the rule with every score passing it, and with none."""
    return tuple(_with(rule, own, end) for own in compared for end in (float("-inf"), float("inf")))


def _with(rule: Rule, own: Comparison, threshold: float) -> Rule:
    other = replace(own, value=threshold, by_app=())
    when = tuple(replaced(each, lambda one: other if one == own else one) for each in rule.when)
    return rule.model_copy(update={"when": when, "mode": "enforce"})


def chosen_from(scores: Numbers, right: Bools, rule: str, compared: Comparison, wanted: float) -> Proposal:
    """Return the proposal from N reviewed scores and whether each event should be acted upon."""
    assert isinstance(compared.value, float)
    threshold = lowest(scores, right, wanted)
    low, high = (None, None) if threshold is None else _interval(scores, right, wanted)
    passes = np.greater_equal if compared.operator == ">=" else np.greater
    now = passes(scores.astype(np.float32), np.float32(compared.value))
    there = scores >= threshold if threshold is not None else None
    return Proposal(
        rule=rule,
        metric=compared.name,
        operator=compared.operator,
        now=compared.value,
        wanted=wanted,
        reviewed=int(scores.size),
        right=int(right.sum()),
        threshold=threshold,
        low=low,
        high=high,
        sure=lowest(scores, right, wanted, sure=True),
        precision=None if there is None else share(int(right[there].sum()), int(there.sum())),
        recall=None if there is None else share(int(right[there].sum()), int(right.sum())),
        precision_now=share(int(right[now].sum()), int(now.sum())),
        recall_now=share(int(right[now].sum()), int(right.sum())),
    )


def _interval(scores: Numbers, right: Bools, wanted: float) -> tuple[float | None, float | None]:
    """Return where the threshold of 95 % of the resamples lies; None is beyond all scores."""
    random = np.random.default_rng(0)
    draws = (random.integers(0, scores.size, scores.size) for _ in range(RESAMPLES))
    resampled = [lowest(scores[draw], right[draw], wanted) for draw in draws]
    # A resample without any such threshold lies above all scores.
    ends = np.quantile(
        [np.inf if each is None else each for each in resampled], (0.025, 0.975), method="nearest"
    )
    low, high = (float(end) if np.isfinite(end) else None for end in ends)
    return low, high


def lowest(scores: Numbers, right: Bools, wanted: float, *, sure: bool = False) -> float | None:
    """Return the lowest score such that of those from it on so large a share is right; None where none is.

    `sure`: the low end of the interval is so large.
    """
    order = np.argsort(-scores, kind="stable")
    found, of = np.cumsum(right[order]), np.arange(1, scores.size + 1)
    ranked = scores[order]
    last = np.append(ranked[1:] != ranked[:-1], True)  # equal scores stand or fall together
    shares = _low(found.tolist(), of.tolist()) if sure else found / of
    good = np.flatnonzero(last & (shares >= wanted))
    return float(ranked[good[-1]]) if good.size else None


def _low(found: Sequence[int], of: Sequence[int]) -> Numbers:
    pairs = zip(found, of, strict=True)
    return np.array([each.low if (each := share(*pair)) else 0.0 for pair in pairs])
