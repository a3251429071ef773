"""Proposes a threshold for a rule, from what reviewers said of events on both sides of it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from streams.decisions.scoring import make_runner, owners
from streams.decisions.settings import DecisionSettings
from streams.errors import UserError, did_you_mean
from streams.policy.conditions import Comparison
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
    """A threshold with which the rule would have had the precision that is wanted."""

    rule: str
    metric: str
    operator: str
    now: float
    wanted: float
    reviewed: int
    """Reviewed events on which all other conditions of the rule hold."""
    right: int
    """Of these, those that should be acted upon."""
    threshold: float | None
    """The lowest one with that precision on them; None where none has it."""
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
) -> Proposal:
    """Return a threshold for a rule of a policy file; `UserError` where it has none to choose, or no reviews.

    Raises `StoreError` and the errors of `policy.file.load`.
    """
    runner = make_runner(settings)
    try:
        policy = load(file, owners(runner), runner.ranges)
        compared, open_rule = _opened(_named(policy, rule_id), app)
        compiled = replace(policy, rules=(open_rule,)).compile(runner.metrics, runner.counted)
        reader = Reader(store, compiled.asks, Detectors(owners(runner), runner.read_closely, runner.counted))
    finally:
        runner.close()
    chosen = Chosen(app=app)
    said = reviews(store, chosen)
    scores: list[float] = []
    wrong_or_right: list[bool] = []
    for block in reader.blocks(chosen, REVIEWED) if said else ():
        hits = compiled.judge(block.rows).hits[:, 0]
        for row in np.flatnonzero(hits).tolist():
            labels = said.get((block.apps.at(row), block.event_ids[row]), Labels())
            label = labels.of((rule_id, compared.name))
            if label is not None:
                scores.append(float(block.rows.scores[compared.name][row]))
                wrong_or_right.append(label)
    if not scores:
        raise UserError(
            f"nobody has reviewed an event on which the other conditions of {rule_id!r} hold: "
            "see `weir feedback`, or the review page of the desk"
        )
    return chosen_from(np.array(scores), np.array(wrong_or_right), rule_id, compared, wanted)


def _named(policy: Policy, rule_id: str) -> Rule:
    names = {rule.id: rule for rule in policy.rules}
    if rule_id not in names:
        hint = did_you_mean(rule_id, names)
        raise UserError(f"no rule {rule_id!r}{hint}; the policy has: {', '.join(names)}")
    return names[rule_id]


def _opened(rule: Rule, app: str) -> tuple[Comparison, Rule]:
    """Return the comparison whose threshold is looked for, and the rule with every score passing it."""
    metrics = [each for each in rule.when if isinstance(each, Comparison) and each.subject == "metric"]
    rising = [each for each in metrics if each.operator in (">=", ">")]
    if len(rising) != 1:
        raise UserError(
            f"{rule.id!r} has {len(rising) or 'no'} conditions `metric >= number` of its own, those under "
            "any: and all: aside; a threshold is proposed where there is one"
        )
    (own,) = rising
    passing = replace(own, value=float("-inf"), by_app=())
    when = tuple(passing if each is own else each for each in rule.when)
    return own.of(app), rule.model_copy(update={"when": when, "mode": "enforce"})


def chosen_from(scores: Numbers, right: Bools, rule: str, compared: Comparison, wanted: float) -> Proposal:
    """Return the proposal from N reviewed scores and whether each event should be acted upon."""
    assert isinstance(compared.value, float)
    threshold = lowest(scores, right, wanted)
    random = np.random.default_rng(0)
    draws = (random.integers(0, scores.size, scores.size) for _ in range(RESAMPLES))
    resampled = [lowest(scores[draw], right[draw], wanted) for draw in draws]
    # A resample without any such threshold lies above all scores.
    ends = np.quantile(
        [np.inf if each is None else each for each in resampled], (0.025, 0.975), method="nearest"
    )
    low, high = (float(end) if np.isfinite(end) else None for end in ends)
    passes = np.greater_equal if compared.operator == ">=" else np.greater
    now = passes(scores.astype(np.float32), np.float32(compared.value))
    there = scores >= threshold if threshold is not None else None
    return Proposal(
        rule=rule,
        metric=compared.name,
        operator=">=",
        now=compared.value,
        wanted=wanted,
        reviewed=int(scores.size),
        right=int(right.sum()),
        threshold=threshold,
        low=low if threshold is not None else None,
        high=high if threshold is not None else None,
        sure=lowest(scores, right, wanted, sure=True),
        precision=None if there is None else share(int(right[there].sum()), int(there.sum())),
        recall=None if there is None else share(int(right[there].sum()), int(right.sum())),
        precision_now=share(int(right[now].sum()), int(now.sum())),
        recall_now=share(int(right[now].sum()), int(right.sum())),
    )


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
