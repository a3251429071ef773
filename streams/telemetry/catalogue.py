"""The Prometheus metrics of weir: every role has all of them; labels are few and bounded."""

from typing import Literal, NamedTuple

MetricKind = Literal["counter", "gauge", "histogram"]
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


class Metric(NamedTuple):
    """One metric: its name on `/metrics`, its kind, what it means, the names of its labels."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()


MESSAGES = Metric("weir_messages_total", "counter", "Messages read and finished")
BATCH_MESSAGES = Metric("weir_batch_messages", "histogram", "Messages of one batch")
BATCH_SECONDS = Metric(
    "weir_batch_seconds",
    "histogram",
    "From the first message of a batch until everything it produced is delivered",
)
STAGE_SECONDS = Metric(
    "weir_stage_seconds",
    "histogram",
    "One stage of a batch: decode, score, decide, reduce, encode, deliver and explain (guard); update, "
    "deliver, snapshot and restore (watch); decode and insert (archive)",
    labels=("stage",),
)
DETECTOR_SECONDS = Metric(
    "weir_detector_seconds",
    "histogram",
    "Time that one detector took for a batch; `features` is what all share: tokens, embeddings, "
    "the verdicts of the cascade",
    labels=("detector",),
)
TEXTS_IN_DOUBT = Metric(
    "weir_texts_in_doubt_total",
    "counter",
    "Texts that the first two tiers left in doubt, so that the transformer read them: most of what "
    "a guard costs",
)
DETECTOR_FAILURES = Metric(
    "weir_detector_failures_total",
    "counter",
    "Batches for which a detector raised, or ran out of `WEIR_DETECTOR_BUDGET_MS`",
    labels=("detector",),
)
DECISIONS = Metric(
    "weir_decisions_total", "counter", "Decisions by the action that is enforced", labels=("action",)
)
DEGRADED_DECISIONS = Metric(
    "weir_degraded_decisions_total",
    "counter",
    "Decisions for which something was left out, for lack of time: `transformer`, `long_text`",
    labels=("left_out",),
)
RULE_HITS = Metric(
    "weir_rule_hits_total",
    "counter",
    "Events that tripped a rule; mode is enforce or shadow",
    labels=("rule", "mode"),
)
DECISION_LATENCY_SECONDS = Metric(
    "weir_decision_latency_seconds",
    "histogram",
    "From Kafka's timestamp of an event to its decision. Clocks that differ between machines show here",
)
DEAD_LETTERS = Metric("weir_dead_letters_total", "counter", "Messages that were refused", labels=("reason",))
DEAD_LETTERS_SAMPLED = Metric(
    "weir_dead_letters_sampled_total",
    "counter",
    "Refused messages of a flood that have no dead letter of their own; they count in "
    "`weir_dead_letters_total`, too",
    labels=("reason",),
)
ALERTS = Metric("weir_alerts_total", "counter", "Alerts published", labels=("severity",))
ALERTS_UNEXPLAINED = Metric(
    "weir_alerts_unexplained_total",
    "counter",
    "Events whose alerts lack the evidence of a classifier, because a fifth of the guard's time "
    "was used up, or events waited too long (`WEIR_DEGRADE_AFTER_MS`)",
)
DRIFTS = Metric("weir_drifts_total", "counter", "Drifts found", labels=("metric",))
ROWS = Metric("weir_rows_total", "counter", "Rows written", labels=("table",))
STORE_RETRIES = Metric(
    "weir_store_retries_total", "counter", "Attempts to write that are repeated; no row is lost"
)
LAG_MESSAGES = Metric(
    "weir_lag_messages",
    "gauge",
    "Messages between the last finished one and the end of the worker's partitions",
)
OLDEST_MESSAGE_SECONDS = Metric(
    "weir_oldest_message_seconds",
    "gauge",
    "Age, by Kafka's timestamp, of the oldest message that was fetched and is not finished; the "
    "lane is `live` or `bulk`. What was not fetched yet is younger, in each partition",
    labels=("lane",),
)
LOST_RECORDS = Metric(
    "weir_lost_records_total", "counter", "Messages that were gone (retention) before they were read"
)
LOGS_ANEW = Metric(
    "weir_logs_anew_total",
    "counter",
    "Partitions whose log was made anew, or ended before the position: they are read from their start",
)
STALLED_SECONDS = Metric(
    "weir_stalled_seconds", "gauge", "Seconds since the worker last finished a batch or had nothing to do"
)
DEGRADED = Metric(
    "weir_degraded",
    "gauge",
    "1 while the worker works, but not as it should; the reasons are those of `/healthz`",
    labels=("reason",),
)
SEGMENTS = Metric(
    "weir_segments", "gauge", "Combinations of app, model, prompt version and kind that watch holds in memory"
)
SEGMENTS_LEARNING = Metric(
    "weir_segments_learning",
    "gauge",
    "Segments of which some metric is being learned (`WEIR_WATCH_LEARN_VALUES`) and cannot alarm yet: "
    "they are new, or have just drifted",
)
USAGE_ENTITIES = Metric(
    "weir_usage_entities",
    "gauge",
    "Users, conversations, apps and tenants whose usage is in memory (`WEIR_USAGE_ENTITIES` at most): in "
    "watch those that it counts, in guard and gate those that a policy may ask for",
)
STATES_UNREADABLE = Metric(
    "weir_states_unreadable_total",
    "counter",
    "Snapshots in `llm.state`, or usage in `llm.usage`, that cannot be read: damaged, or of another format. "
    "Drift of that segment, or usage of those users, starts from nothing, others go on",
)
POLICY_INFO = Metric(
    "weir_policy_info",
    "gauge",
    "1 for the policy in force; the hashes of the policy and of the detectors it judges by",
    labels=("version", "hash", "detectors"),
)
POLICY_ERRORS = Metric("weir_policy_errors_total", "counter", "New versions of the policy that were refused")
GATE_REQUESTS = Metric(
    "weir_gate_requests_total",
    "counter",
    "Requests to the gate, by endpoint and status of the response",
    labels=("endpoint", "status"),
)
GATE_REQUEST_SECONDS = Metric(
    "weir_gate_request_seconds",
    "histogram",
    "From the head of a request to the gate until its response is ready",
    labels=("endpoint",),
)
GATE_UNRECORDED = Metric(
    "weir_gate_unrecorded_total",
    "counter",
    "Decisions that were answered and not recorded, since the outbox was full and `WEIR_GATE_OUTBOX_FULL` "
    "is pass",
)
GATE_UNJUDGED = Metric(
    "weir_gate_unjudged_total",
    "counter",
    "Events that were not judged in time, and were answered by the `on_failure` of the rules",
)
GATE_STREAM_DELAY_SECONDS = Metric(
    "weir_gate_stream_delay_seconds",
    "histogram",
    "From the coming of a piece of a streamed completion until it goes out; of several, the longest",
)
GATE_STREAM_HELD = Metric(
    "weir_gate_stream_held_chars",
    "histogram",
    "Characters of a streamed completion that are held back, after each piece of it",
)
GATE_SPANS = Metric(
    "weir_gate_spans_total",
    "counter",
    "Spans and log records that came by OTLP, by what became of them: `published`; `without_text`, a call of "
    "a model whose instrumentation left out its texts; `wrapper`, an agent, chain or workflow, which repeats "
    "the calls in it; `other`, no call of a model; `rejected`",
    labels=("outcome",),
)
GATE_EVALUATIONS = Metric(
    "weir_gate_evaluations_total",
    "counter",
    "Scored events whose scores were to go out by OTLP (`WEIR_GATE_EVALUATIONS`), by what became of them: "
    "`sent`; `refused` by the endpoint; `dropped`, since it did not take them for a minute",
    labels=("outcome",),
)
OUTBOX_BYTES = Metric("weir_outbox_bytes", "gauge", "What the gate has answered and is not with Kafka yet")
ALERTS_OPEN = Metric(
    "weir_alerts_open", "gauge", "Alerts that are not resolved, as notify keeps them: one for each cause"
)
NOTIFICATIONS = Metric(
    "weir_notifications_total",
    "counter",
    "Attempts to tell a receiver of an alert, by route and outcome: `delivered`; `failed`, which are tried "
    "again; `refused` by the receiver for good",
    labels=("route", "outcome"),
)
ROUTE_WAITING = Metric(
    "weir_route_waiting_messages",
    "gauge",
    "Changes of alerts that a route has not dealt with",
    labels=("route",),
)
ROUTE_FAILING = Metric(
    "weir_route_failing", "gauge", "1 while the receiver of a route takes nothing", labels=("route",)
)

ALL: tuple[Metric, ...] = tuple(each for each in globals().values() if isinstance(each, Metric))
"""In the order in which docs/operations.md lists them; its table is made from them."""
