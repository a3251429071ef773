"""What reviews say of the rules and of the decisions: precision, agreement, an estimate of misses."""

from collections.abc import Iterable

import msgspec

from streams.decisions.after_reviews import counted
from streams.policy.reviews import Share, labels, share
from streams.store.chosen import Chosen
from streams.store.client import Store
from streams.store.reviews import Reviewed, reviewed


class RuleReviews(msgspec.Struct, frozen=True):
    """A rule that hit reviewed events."""

    rule: str
    hits: int
    """All of them, reviewed or not."""
    precision: Share | None


class Misses(msgspec.Struct, frozen=True):
    """Allowed events that should have been acted upon, reckoned from those reviewed without a cause."""

    share: Share
    allowed: int
    low: int
    estimate: int
    high: int


class ReviewReport(msgspec.Struct, frozen=True):
    """What reviews say of a time; shares have 95 % intervals (Wilson)."""

    events: int
    reviewed: int
    waiting: int
    """Escalated events without an answer."""
    precision: Share | None
    """Of the decisions other than `allow`."""
    agreement: Share | None
    """Of the events with two reviewers or more, those on which all say the same of the decision."""
    alpha: float | None
    """Krippendorff's, of the same events: 1 is agreement, 0 is chance."""
    misses: Misses | None
    rules: list[RuleReviews]


def report(store: Store, chosen: Chosen) -> ReviewReport:
    """Return what reviewers said of the events that are chosen. Raises `StoreError`."""
    where = chosen.condition
    totals = f"SELECT count(), countIf(action = 'allow') FROM events WHERE {where}"
    [(events, allowed)] = store.query(totals).rows
    [(waiting,)] = store.query(
        f"SELECT count() FROM decisions WHERE {where} AND action = 'escalate' AND decided_by = 'policy'"
    ).rows
    hits = dict(
        store.query(f"SELECT arrayJoin(rules) AS rule, count() FROM events WHERE {where} GROUP BY rule").rows
    )
    found = reviewed(store, chosen)
    wanted = [(each, each.labels().overall) for each in found]
    acted = [label for each, label in wanted if each.action != "allow" and label is not None]
    unhit = [label for each, label in wanted if each.action == "allow" and each.sampled and label is not None]
    rated = [votes for each in found if len(votes := _votes(each)) > 1]
    names = sorted({name for each in found for name in each.hits})
    return ReviewReport(
        events=events,
        reviewed=len(found),
        waiting=waiting,
        precision=share(sum(acted), len(acted)),
        agreement=share(sum(len(set(votes)) == 1 for votes in rated), len(rated)),
        alpha=alpha(rated),
        misses=_misses(share(sum(unhit), len(unhit)), allowed),
        rules=[RuleReviews(name, hits.get(name, 0), share(*counted(name, found)[:2])) for name in names],
    )


def _misses(found: Share | None, allowed: int) -> Misses | None:
    if found is None:
        return None
    low, estimate, high = (round(allowed * part) for part in (found.low, found.share, found.high))
    return Misses(found, allowed, low, estimate, high)


def _votes(event: Reviewed) -> list[bool]:
    """Return whether each reviewer would have acted."""
    by_reviewer = {each.reviewer: each for _, each in event.opinions if not each.about}
    said = (labels([each], event.action != "allow", {}).overall for each in by_reviewer.values())
    return [label for label in said if label is not None]


def alpha(rated: Iterable[list[bool]]) -> float | None:
    """Return Krippendorff's alpha of nominal votes, two or more each; None where all say the same of all.

    https://en.wikipedia.org/wiki/Krippendorff%27s_alpha
    """
    units = list(rated)
    yes, of = sum(map(sum, units)), sum(map(len, units))
    if not 0 < yes < of:
        return None
    observed = sum(2 * sum(votes) * (len(votes) - sum(votes)) / (len(votes) - 1) for votes in units) / of
    expected = 2 * yes * (of - yes) / (of * (of - 1))
    return round(1 - observed / expected, 3)
