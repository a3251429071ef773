"""What of a judged batch is counted and timed."""

from collections import Counter

import numpy as np

from schemas.events import VERDICTS
from streams.decisions.judge import Judged
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry


def observe(judged: Judged, telemetry: Telemetry) -> None:
    """Count and time a judged batch."""
    _stages(judged, telemetry)
    names = Counter(name for decision in judged.decisions for name in decision.degraded)
    for name, count in names.items():
        telemetry.count(catalogue.DEGRADED_DECISIONS, count, name)
    codes, counts = np.unique(judged.outcome.action, return_counts=True)
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        telemetry.count(catalogue.DECISIONS, count, VERDICTS[code])
    totals = judged.outcome.hits.sum(axis=0).tolist()
    for rule, total in zip(judged.policy.rules, totals, strict=True):
        if total:
            telemetry.count(catalogue.RULE_HITS, total, rule.id, rule.mode)
    for decision in judged.decisions:
        telemetry.observe(catalogue.DECISION_LATENCY_SECONDS, decision.latency_ms / 1000)


def _stages(judged: Judged, telemetry: Telemetry) -> None:
    for stage, seconds in judged.seconds.items():
        telemetry.observe(catalogue.STAGE_SECONDS, seconds, stage)
    for name, seconds in judged.scores.seconds.items():
        telemetry.observe(catalogue.DETECTOR_SECONDS, seconds, name)
    for name in judged.scores.failed:
        telemetry.count(catalogue.DETECTOR_FAILURES, 1, name)
    telemetry.count(catalogue.TEXTS_IN_DOUBT, judged.batch.in_doubt)
