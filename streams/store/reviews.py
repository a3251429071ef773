"""What reviewers said of events that are kept."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from streams.policy.reviews import Labels, Opinion, labels
from streams.store.client import Store
from streams.store.scored import Chosen

REVIEWED: Final = "(app, event_id) IN (SELECT app, event_id FROM feedback)"
"""SQL over the columns of `events`."""


@dataclass
class _Reviewed:
    acted: bool
    hit: dict[str, bool]
    opinions: list[Opinion] = field(default_factory=list)


def reviews(store: Store, chosen: Chosen) -> dict[tuple[str, str], Labels]:
    """Return what is said of the events that are chosen, by app and event id."""
    rows = store.query(
        "SELECT app, event_id, reviewer, feedback.metric, judgement, action, rules, rule_metrics"
        " FROM feedback INNER JOIN (SELECT app, event_id, action, rules, rule_metrics FROM events"
        f" WHERE {chosen.condition} AND {REVIEWED}) AS decided USING (app, event_id)"
        " ORDER BY feedback.timestamp, feedback.feedback_id"
    ).rows
    found: dict[tuple[str, str], _Reviewed] = defaultdict(lambda: _Reviewed(False, {}))
    for app, event_id, reviewer, about, judgement, action, rules, metrics in rows:
        reviewed = found[app, event_id]
        reviewed.acted = action != "allow"
        reviewed.hit = dict.fromkeys([*rules, *filter(None, metrics)], True)
        reviewed.opinions.append(Opinion(reviewer, about, judgement))
    return {key: labels(each.opinions, each.acted, each.hit) for key, each in found.items()}
