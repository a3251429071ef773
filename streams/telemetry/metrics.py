"""The metrics and the health of one role."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.telemetry import catalogue
from streams.telemetry.catalogue import SECONDS, SIZES, Metric

DegradedReason = Literal[
    # The store does not take rows; they are kept and tried again.
    "store",
    # Many dead letters; see the alert.
    "dead_letters",
    # Records were gone before they were read, or a topic was made anew.
    "lost_records",
    # The new version of the sets of terms was refused.
    "terms",
    # The oldest event that waits for its decision is too old.
    "waiting",
    # The new version of the policy was refused.
    "policy",
    # Kafka does not take what the gate has decided; it waits in the outbox.
    "broker",
    # A receiver of alerts does not take them; they are tried again.
    "route",
    "usage",
    # Records are from the future: the clock here is wrong, or that of who publishes.
    "clock",
]


class Telemetry:
    """The metrics and the health of one role. Every role has all metrics; labels are few and bounded."""

    def __init__(self, role: str, stall_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.role = role
        self.registry = CollectorRegistry()
        self._clock = clock
        self._stall_s = stall_s
        self._progress = self._fetched = clock()
        self._lag = 0
        self._busy = False
        self._degraded: set[DegradedReason] = set()
        self._problems: dict[DegradedReason, str] = {}
        self._oldest: dict[str, float] = {}
        self.behind_s = 0.0
        """In how long what waits with the broker will have been handled; set by the worker."""
        self.others_wait = False
        """Live messages wait that are not of the batch under way; set by the worker, once a second."""
        self.ready = False
        """The role has joined its group; set by the worker."""
        self.stopping = False
        """The role was told to stop, and finishes what it has."""
        self._metrics = {metric: self._make(metric) for metric in catalogue.ALL}

    def _make(self, metric: Metric) -> Any:
        name, kind, text, labels = metric
        if kind == "counter":
            return Counter(name, text, labels, registry=self.registry)
        if kind == "gauge":
            return Gauge(name, text, labels, registry=self.registry)
        buckets = SECONDS if name.endswith("_seconds") else SIZES
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def count(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        """Add to a counter."""
        self._of(metric, labels).inc(amount)

    def gauge(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge."""
        self._of(metric, labels).set(value)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add one value to a histogram."""
        self._of(metric, labels).observe(value)

    def forget(self, metric: Metric) -> None:
        """Drop all label values of a metric."""
        self._metrics[metric].clear()

    def _of(self, metric: Metric, labels: tuple[str, ...]) -> Any:
        made = self._metrics[metric]
        return made.labels(*labels) if labels else made

    @contextlib.contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        """Time one stage of a batch."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.observe(catalogue.STAGE_SECONDS, time.perf_counter() - start, stage)

    @contextlib.contextmanager
    def batch(self, size: int, fetched: float | None = None) -> Iterator[None]:
        """Time and count one batch; its end is progress.

        `fetched` is when its oldest messages came here, by `time.monotonic`; by default now.
        """
        start = time.perf_counter()
        self._fetched = self._clock() if fetched is None else fetched
        if not self._busy:
            self._busy, self._progress = True, self._clock()
        yield
        self._busy, self._progress = False, self._clock()
        self.count(catalogue.MESSAGES, size)
        self.observe(catalogue.BATCH_MESSAGES, size)
        self.observe(catalogue.BATCH_SECONDS, time.perf_counter() - start)

    @property
    def waited_s(self) -> float:
        """Seconds since the oldest messages of the batch under way came here, or that others will wait."""
        return max(self._clock() - self._fetched, self.behind_s)

    def progress(self) -> None:
        """Note that a part of a batch is done and its results are out."""
        self._progress = self._clock()

    def lag(self, messages: int) -> None:
        """Note how far behind the role is; nothing to do counts as progress."""
        self._lag = messages
        if messages == 0 and not self._busy:
            self.progress()
        self.gauge(catalogue.LAG_MESSAGES, messages)
        self.gauge(catalogue.STALLED_SECONDS, self.stalled_s)

    def oldest(self, lane: str, timestamp_ms: int) -> float:
        """Note Kafka's timestamp of the oldest message of a lane that waits; return its age in seconds.

        With 0 none waits.
        """
        age = max(0.0, time.time() - timestamp_ms / 1000) if timestamp_ms > 0 else 0.0
        self._oldest[lane] = round(age, 1)
        self.gauge(catalogue.OLDEST_MESSAGE_SECONDS, age, lane)
        return age

    def degrade(self, reason: DegradedReason, on: bool = True, problem: str = "") -> None:
        """Note that the role works, but not as it should, and why; or that this has passed.

        `problem` is for the operator, in the health endpoint; it never holds a prompt's text.
        """
        (self._degraded.add if on else self._degraded.discard)(reason)
        self._problems[reason] = problem if on else ""
        self.gauge(catalogue.DEGRADED, float(on), reason)

    @property
    def stalled_s(self) -> float:
        """Seconds since the last progress."""
        return self._clock() - self._progress

    def health(self) -> tuple[bool, Mapping[str, Any]]:
        """Return whether the role makes progress, and what the endpoint shows.

        A role that is degraded is healthy: starting it again would help nobody.
        """
        healthy = self.stalled_s < self._stall_s
        working = "degraded" if self._degraded else "ok"
        return healthy, {
            "role": self.role,
            "status": working if healthy else "stalled",
            "degraded": sorted(self._degraded),
            "problems": {reason: problem for reason, problem in self._problems.items() if problem},
            "ready": self.ready,
            "stopping": self.stopping,
            "lag_messages": self._lag,
            "oldest_seconds": self._oldest,
            "stalled_seconds": round(self.stalled_s, 1),
        }
