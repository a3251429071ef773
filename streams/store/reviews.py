"""What reviewers said of events that are kept."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Final

from streams.policy.reviews import Labels, Opinion, labels
from streams.store.chosen import Chosen
from streams.store.client import Store

REVIEWED: Final = "(app, event_id) IN (SELECT app, event_id FROM feedback)"
"""SQL over the columns of `events`."""
SAMPLED: Final = "cityHash64(decision_id) % 100 = 0"
"""SQL: the allowed events that are reviewed without a cause, so that misses are seen too."""


@dataclass
class Reviewed:
    """An event that somebody judged."""

    app: str
    event_id: str
    action: str
    policy_hash: str
    hits: dict[str, str]
    """Metric that decided, by rule that hit, in shadow too."""
    sampled: bool
    """It is one of those that are reviewed without a cause."""
    opinions: list[tuple[int, Opinion]] = field(default_factory=list)
    """With their times, in milliseconds since 1970 (UTC), in order."""

    def labels(self, since_ms: int = 0) -> Labels:
        """Return what reviewers say, from a time on."""
        hit = dict.fromkeys([*self.hits, *filter(None, self.hits.values())], True)
        said = [opinion for at, opinion in self.opinions if at > since_ms]
        return labels(said, self.action != "allow", hit)


def reviewed(store: Store, chosen: Chosen, extra: str = "") -> list[Reviewed]:
    """Return the events of those chosen that somebody judged; `extra` is a further condition in SQL."""
    where = " AND ".join(filter(None, (chosen.condition, REVIEWED, extra)))
    rows = store.query(
        "SELECT app, event_id, reviewer, feedback.metric, judgement, feedback.timestamp, action, policy_hash,"
        f" rules, rule_metrics, {SAMPLED}"
        " FROM feedback INNER JOIN (SELECT app, event_id, decision_id, action, policy_hash, rules,"
        f" rule_metrics FROM events WHERE {where}) AS decided"
        " USING (app, event_id) ORDER BY feedback.timestamp, feedback.feedback_id"
    ).rows
    found: dict[tuple[str, str], Reviewed] = {}
    for app, event_id, reviewer, about, judgement, at, action, policy, rules, metrics, sampled in rows:
        hits = dict(zip(rules, metrics, strict=True))
        event = found.setdefault(
            (app, event_id), Reviewed(app, event_id, action, policy, hits, bool(sampled))
        )
        event.opinions.append((milliseconds(at), Opinion(reviewer, about, judgement)))
    return list(found.values())


def milliseconds(moment: dt.datetime) -> int:
    """Return a time of the store in milliseconds since 1970 (UTC)."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return round(aware.timestamp() * 1000)


def reviews(store: Store, chosen: Chosen) -> dict[tuple[str, str], Labels]:
    """Return what is said of the events that are chosen, by app and event id."""
    return {(each.app, each.event_id): each.labels() for each in reviewed(store, chosen)}
