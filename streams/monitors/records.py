"""What is found becomes messages for Kafka: drift records, and reports on groups. Pure: no I/O."""

from collections.abc import Iterator
from typing import Final

from schemas import codec
from schemas.drift import BiasRecord, DriftRecord
from schemas.events import Evidence
from streams.monitors.bias import Gap
from streams.monitors.clusters import Shares
from streams.monitors.topic import Moved
from streams.monitors.views import Change
from streams.monitors.watched import WatchedScores

CUSUM: Final = "cusum"
"""Detector of a changed metric."""
TOPIC: Final = "topic"
"""Metric and detector of a change of subjects."""
GROUPS: Final = "groups"
"""Detector of a gap between groups; its metric is `bias_` and the measure."""
SHOWN: Final = 3
"""Evidence: the references with the largest shares, before and since, and the clusters that changed most."""


def metric_record(item: WatchedScores, metric: str, change: Change, samples: int) -> DriftRecord:
    """Return the record of a metric that has changed, found at an event."""
    event = item.event
    # One partition holds a segment in order, so the event at which a test fires is the same at a replay.
    segment = (event.app, event.model, f"{event.prompt_version}/{event.kind}")
    return DriftRecord(
        drift_id=codec.drift_id(*segment, metric, CUSUM, event.event_id),
        app=event.app,
        model=event.model,
        prompt_version=event.prompt_version,
        kind=event.kind,
        metric=metric,
        detector=CUSUM,
        timestamp=item.timestamp,
        event_id=event.event_id,
        before=digits(change.before),
        after=digits(change.after),
        samples=samples,
        began_at=change.began,
        before_samples=change.before_samples,
        after_samples=change.after_samples,
        after_low=digits(change.low),
        after_high=digits(change.high),
    )


def topic_record(item: WatchedScores, moved: Moved, samples: int) -> DriftRecord:
    """Return the record of a change of subjects found at an event."""
    event = item.event
    segment = (event.app, event.model, f"{event.prompt_version}/{event.kind}")
    return DriftRecord(
        drift_id=codec.drift_id(*segment, TOPIC, TOPIC, event.event_id),
        app=event.app,
        model=event.model,
        prompt_version=event.prompt_version,
        kind=event.kind,
        metric=TOPIC,
        detector=TOPIC,
        timestamp=item.timestamp,
        event_id=event.event_id,
        before=digits(moved.distance_before),
        after=digits(moved.distance_after),
        samples=samples,
        began_at=moved.began,
        before_samples=moved.before_samples,
        after_samples=moved.after_samples,
        returns=moved.returns,
        evidence=(
            *_references("before", moved.before),
            *_references("since", moved.after),
            *_clusters(moved),
        ),
    )


def _references(when: str, shares: Shares) -> Iterator[Evidence]:
    for name, share in list(shares.of_names().items())[:SHOWN]:
        yield Evidence(detector="references", metric=TOPIC, label=when, weight=digits(share), text=name)


def _clusters(moved: Moved) -> Iterator[Evidence]:
    pairs = zip(moved.before.of_clusters(), moved.after.of_clusters(), strict=True)
    changed = sorted(enumerate(pairs, 1), key=lambda each: -abs(each[1][0] - each[1][1]))
    for number, shares in changed[:SHOWN]:
        for when, share in zip(("before", "since"), shares, strict=True):
            label = f"cluster {number} {when}"
            yield Evidence(detector=TOPIC, metric=TOPIC, label=label, weight=digits(share))


def gap_record(item: WatchedScores, gap: Gap, samples: int, cause: str) -> DriftRecord:
    """Return the record of a gap that was just found, or of its end: then `before` is what it was."""
    event, metric = item.event, f"bias_{gap.measure}"
    segment = (event.app, event.model, f"{event.prompt_version}/{event.kind}/{gap.group}")
    ended = None if gap.found else gap.standing
    before = gap.others if ended is None else ended.level
    return DriftRecord(
        drift_id=codec.drift_id(*segment, metric, GROUPS, event.event_id),
        app=event.app,
        model=event.model,
        prompt_version=event.prompt_version,
        kind=event.kind,
        metric=metric,
        detector=GROUPS,
        timestamp=item.timestamp,
        event_id=event.event_id,
        before=digits(before),
        after=digits(gap.level),
        samples=samples,
        began_at=gap.since,
        before_samples=gap.others_samples,
        after_samples=gap.samples,
        after_low=digits(gap.level_low),
        after_high=digits(gap.level_high),
        cause=cause,
        returns="" if ended is None else ended.drift_id,
        named_group=gap.group,
    )


def bias_record(item: WatchedScores, gap: Gap) -> BiasRecord:
    """Return what the answers until an event say about a group."""
    event = item.event
    segment = (event.app, event.model, event.prompt_version)
    return BiasRecord(
        bias_id=codec.bias_id(*segment, gap.group, gap.measure, event.event_id),
        app=event.app,
        model=event.model,
        prompt_version=event.prompt_version,
        named_group=gap.group,
        measure=gap.measure,
        timestamp=item.timestamp,
        since=gap.since,
        level=digits(gap.level),
        others=digits(gap.others),
        samples=gap.samples,
        others_samples=gap.others_samples,
        gap_low=digits(gap.low),
        gap_high=digits(gap.high),
        found=gap.found,
    )


def digits(value: float) -> float:
    """Return a number with the digits that are worth something."""
    return float(f"{value:.6g}")
