"""Logs, Prometheus metrics and the health endpoint of one role."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from streams.settings import Settings

MetricName = Literal[
    # Messages read and finished by this role.
    "weir_messages_total",
    # Messages of one batch.
    "weir_batch_messages",
    # Seconds of one batch, from the first message to everything delivered.
    "weir_batch_seconds",
    # Seconds of one stage of a batch: decode, score, decide, insert, update, ...
    "weir_stage_seconds",
    # Seconds that one detector took for a batch.
    "weir_detector_seconds",
    # Batches for which a detector failed (raised, or ran out of time).
    "weir_detector_failures_total",
    # Texts that the transformer read.
    "weir_texts_in_doubt_total",
    # Decisions by the action that is enforced.
    "weir_decisions_total",
    # Decisions that rest on less than they should, by what was left out.
    "weir_degraded_decisions_total",
    # Rules that were tripped, by mode.
    "weir_rule_hits_total",
    # Seconds from Kafka's timestamp of an event to its decision.
    "weir_decision_latency_seconds",
    # Dead letters by reason.
    "weir_dead_letters_total",
    # Refused messages of a flood that have no dead letter of their own.
    "weir_dead_letters_sampled_total",
    # Alerts published by severity.
    "weir_alerts_total",
    # Events whose alerts went out without the evidence of a classifier, for lack of time.
    "weir_alerts_unexplained_total",
    # Drifts found by metric.
    "weir_drifts_total",
    # Rows written by table.
    "weir_rows_total",
    # Attempts to write that are repeated.
    "weir_store_retries_total",
    # Messages between the last finished one and the end of the assigned partitions.
    "weir_lag_messages",
    # Seconds since Kafka's timestamp of the oldest message that waits, by lane.
    "weir_oldest_message_seconds",
    # Messages that were gone before they were read.
    "weir_lost_records_total",
    # Partitions whose log was made anew, and is read from its start.
    "weir_logs_anew_total",
    # Seconds since this role last finished a batch or had nothing to do.
    "weir_stalled_seconds",
    # 1 while the role works, but not as it should; see `DegradedReason`.
    "weir_degraded",
    # Segments that watch holds in memory.
    "weir_segments",
    # Snapshots of watch that could not be read.
    "weir_states_unreadable_total",
    # 1, with the version and hash of the policy in force.
    "weir_policy_info",
    # New versions of the policy that were refused.
    "weir_policy_errors_total",
]

DegradedReason = Literal[
    # The store does not take rows; they are kept and tried again.
    "store",
    # Many dead letters; see the alert.
    "dead_letters",
    # Records were gone before they were read, or a topic was made anew.
    "lost_records",
    # The oldest event that waits for its decision is too old.
    "waiting",
    # The new version of the policy was refused.
    "policy",
]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
GAUGES: tuple[MetricName, ...] = ("weir_stalled_seconds", "weir_oldest_message_seconds")
LABELS: dict[MetricName, tuple[str, ...]] = {
    "weir_stage_seconds": ("stage",),
    "weir_detector_seconds": ("detector",),
    "weir_detector_failures_total": ("detector",),
    "weir_decisions_total": ("action",),
    "weir_degraded_decisions_total": ("left_out",),
    "weir_rule_hits_total": ("rule", "mode"),
    "weir_dead_letters_total": ("reason",),
    "weir_dead_letters_sampled_total": ("reason",),
    "weir_alerts_total": ("severity",),
    "weir_drifts_total": ("metric",),
    "weir_rows_total": ("table",),
    "weir_policy_info": ("version", "hash", "detectors"),
    "weir_degraded": ("reason",),
    "weir_oldest_message_seconds": ("lane",),
}
HELP: dict[MetricName, str] = {
    "weir_messages_total": "Messages read and finished",
    "weir_batch_messages": "Messages of one batch",
    "weir_batch_seconds": "Seconds of one batch, until everything is delivered",
    "weir_stage_seconds": "Seconds of one stage of a batch",
    "weir_detector_seconds": "Seconds that one detector, or the features all share, took for a batch",
    "weir_detector_failures_total": "Batches for which a detector failed",
    "weir_texts_in_doubt_total": "Texts in doubt, which the transformer read",
    "weir_decisions_total": "Decisions by the action that is enforced",
    "weir_degraded_decisions_total": "Decisions for which something was left out, for lack of time",
    "weir_rule_hits_total": "Rules that were tripped",
    "weir_decision_latency_seconds": "Seconds from Kafka's timestamp of an event to its decision",
    "weir_dead_letters_total": "Dead letters by reason",
    "weir_dead_letters_sampled_total": "Refused messages of a flood without a letter of their own",
    "weir_alerts_total": "Alerts published",
    "weir_alerts_unexplained_total": "Events whose alerts lack a classifier's evidence, for lack of time",
    "weir_drifts_total": "Drifts found",
    "weir_rows_total": "Rows written",
    "weir_store_retries_total": "Attempts to write that are repeated",
    "weir_lag_messages": "Messages behind the end of the assigned partitions",
    "weir_oldest_message_seconds": "Age of the oldest message that waits",
    "weir_lost_records_total": "Messages that were gone before they were read",
    "weir_logs_anew_total": "Partitions whose log was made anew and is read from its start",
    "weir_stalled_seconds": "Seconds since a batch was finished while messages wait",
    "weir_degraded": "1 while the role works, but not as it should",
    "weir_segments": "Segments held in memory",
    "weir_states_unreadable_total": "Snapshots that could not be read",
    "weir_policy_info": "The policy in force and the detectors it judges by",
    "weir_policy_errors_total": "New versions of the policy that were refused",
}


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
        self.ready = False
        """The role has joined its group; set by the worker."""
        self._metrics: dict[str, Any] = {name: self._make(name) for name in HELP}

    def _make(self, name: MetricName) -> Counter | Gauge | Histogram:
        labels = LABELS.get(name, ())
        if name.endswith("_total"):
            return Counter(name, HELP[name], labels, registry=self.registry)
        if name in ("weir_batch_messages",):
            return Histogram(name, HELP[name], labels, buckets=SIZES, registry=self.registry)
        if name.endswith("_seconds") and name not in GAUGES:
            return Histogram(name, HELP[name], labels, buckets=SECONDS, registry=self.registry)
        return Gauge(name, HELP[name], labels, registry=self.registry)

    def count(self, name: MetricName, amount: float = 1, *labels: str) -> None:
        """Add to a counter."""
        self._of(name, labels).inc(amount)

    def gauge(self, name: MetricName, value: float, *labels: str) -> None:
        """Set a gauge."""
        self._of(name, labels).set(value)

    def observe(self, name: MetricName, value: float, *labels: str) -> None:
        """Add one value to a histogram."""
        self._of(name, labels).observe(value)

    def forget(self, name: MetricName) -> None:
        """Drop all label values of a metric."""
        self._metrics[name].clear()

    def _of(self, name: MetricName, labels: tuple[str, ...]) -> Any:
        metric = self._metrics[name]
        return metric.labels(*labels) if labels else metric

    @contextlib.contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        """Time one stage of a batch."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.observe("weir_stage_seconds", time.perf_counter() - start, stage)

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
        self.count("weir_messages_total", size)
        self.observe("weir_batch_messages", size)
        self.observe("weir_batch_seconds", time.perf_counter() - start)

    @property
    def waited_s(self) -> float:
        """Seconds since the oldest messages of the batch under way came here."""
        return self._clock() - self._fetched

    def progress(self) -> None:
        """Note that a part of a batch is done and its results are out."""
        self._progress = self._clock()

    def lag(self, messages: int) -> None:
        """Note how far behind the role is; nothing to do counts as progress."""
        self._lag = messages
        if messages == 0 and not self._busy:
            self.progress()
        self.gauge("weir_lag_messages", messages)
        self.gauge("weir_stalled_seconds", self.stalled_s)

    def oldest(self, lane: str, timestamp_ms: int) -> float:
        """Note Kafka's timestamp of the oldest message of a lane that waits; return its age in seconds.

        With 0 none waits.
        """
        age = max(0.0, time.time() - timestamp_ms / 1000) if timestamp_ms > 0 else 0.0
        self._oldest[lane] = round(age, 1)
        self.gauge("weir_oldest_message_seconds", age, lane)
        return age

    def degrade(self, reason: DegradedReason, on: bool = True, problem: str = "") -> None:
        """Note that the role works, but not as it should, and why; or that this has passed.

        `problem` is for the operator, in the health endpoint; it never holds a prompt's text.
        """
        (self._degraded.add if on else self._degraded.discard)(reason)
        self._problems[reason] = problem if on else ""
        self.gauge("weir_degraded", float(on), reason)

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
            "lag_messages": self._lag,
            "oldest_seconds": self._oldest,
            "stalled_seconds": round(self.stalled_s, 1),
        }


class TelemetryServer:
    """Serves `/metrics`, `/healthz` (progress) and `/readyz` (has partitions and models)."""

    def __init__(self, telemetry: Telemetry, host: str, port: int, setting: str) -> None:
        self._telemetry = telemetry
        self._address = (host, port)
        self._setting = setting
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; raise `OSError` with a user-readable message if the port is taken."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, port = self._address
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self.stop()
            raise OSError(
                f"{host}:{port} is in use or not ours to use: set {self._setting} to a free port"
            ) from error

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._telemetry.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _healthz(self, _request: web.Request) -> web.Response:
        healthy, body = self._telemetry.health()
        return web.json_response(body, status=200 if healthy else 503)

    async def _readyz(self, _request: web.Request) -> web.Response:
        _, body = self._telemetry.health()
        return web.json_response(body, status=200 if self._telemetry.ready else 503)


class SeldomFilter(logging.Filter):
    """Lets a message of a library through once in ten seconds: a broker that is away is not news 30 times
    a second.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._quiet_until: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log it; what counts as the same is its text before the arguments."""
        key, now = (record.name, str(record.msg)), self._clock()
        if now < self._quiet_until.get(key, now):
            return False
        if len(self._quiet_until) >= 1_000:  # messages that are put together before they are logged
            self._quiet_until.clear()
        self._quiet_until[key] = now + 10.0
        return True


def configure_logging(settings: Settings, role: str) -> None:
    """Structured logs on stderr: JSON in production, readable on a terminal; never a prompt's text.

    What libraries log goes the same way, from warnings on.
    """
    level = getattr(logging, settings.log_level.upper())
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name], processors=[remove_meta, renderer]
        )
    )
    handler.addFilter(SeldomFilter())
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    # Faust logs in the name of the module that makes the app; its warnings are about its own sensors.
    logging.getLogger("streams.kafka.faust_worker").setLevel(logging.ERROR)
