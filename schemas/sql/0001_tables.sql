-- Rows as they arrive, a replay of one included, until ClickHouse merges them: query the views of 0002.
-- A key is made of the event's own values, so that a replay falls on the row that it repeats; the day
-- and not the timestamp, so that a retry with a slightly later one does too. Detectors add a column
-- for each metric to `events_log`: NULL where the metric does not apply.
CREATE TABLE IF NOT EXISTS events_log
(
    event_id String,
    app LowCardinality(String),
    kind LowCardinality(String),
    timestamp DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD),
    request_id String,
    conversation_id String,
    tenant LowCardinality(String),
    environment LowCardinality(String),
    model LowCardinality(String),
    provider LowCardinality(String),
    prompt_name LowCardinality(String),
    prompt_version LowCardinality(String),
    user String,
    chain LowCardinality(String),
    step LowCardinality(String),
    text String CODEC(ZSTD),
    system_prompt String CODEC(ZSTD),
    contexts Array(String) CODEC(ZSTD),
    tool_calls Array(Tuple(name String, arguments String)) CODEC(ZSTD),
    prompt_tokens Nullable(UInt32),
    completion_tokens Nullable(UInt32),
    latency_ms Nullable(Float64),
    ttft_ms Nullable(Float64),
    cost Nullable(Float64),
    finish_reason LowCardinality(String),
    trace_id String,
    span_id String,
    metadata Map(String, String),
    storage LowCardinality(String),
    text_hash String COMMENT 'keyed hash of the original text',
    pii_types Array(String),
    decision_id String,
    verdict LowCardinality(String),
    action LowCardinality(String),
    severity LowCardinality(String),
    rules Array(String) COMMENT 'the policy rules that were hit; the arrays rule_* run beside it',
    rule_actions Array(String),
    rule_severities Array(String),
    rule_modes Array(String),
    rule_metrics Array(String),
    rule_scores Array(Nullable(Float64)),
    rule_failed Array(Bool),
    failed Array(String) COMMENT 'detectors that raised or overran their time budget',
    policy_version LowCardinality(String),
    policy_hash LowCardinality(String),
    decided_at DateTime64(3, 'UTC'),
    decision_latency_ms Float64,
    inserted_at DateTime('UTC') DEFAULT now() COMMENT 'the clock of the store: for the TTL alone',
    INDEX by_event event_id TYPE bloom_filter GRANULARITY 4,
    INDEX by_request request_id TYPE bloom_filter GRANULARITY 4,
    INDEX by_conversation conversation_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (app, toDate(timestamp), event_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS alerts_log
(
    alert_id String,
    source LowCardinality(String),
    severity LowCardinality(String),
    rule LowCardinality(String),
    title String,
    timestamp DateTime64(3, 'UTC'),
    app LowCardinality(String),
    model LowCardinality(String),
    prompt_version LowCardinality(String),
    event_id String,
    decision_id String,
    conversation_id String,
    action LowCardinality(String),
    mode LowCardinality(String),
    metric LowCardinality(String),
    score Nullable(Float64),
    evidence Array(Tuple(
        detector String, metric String, label String, start Int64, end Int64, weight Nullable(Float64), text String
    )) CODEC(ZSTD),
    policy_version LowCardinality(String),
    policy_hash LowCardinality(String),
    inserted_at DateTime('UTC') DEFAULT now() COMMENT 'the clock of the store: for the TTL alone'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (app, toDate(timestamp), alert_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS drift_log
(
    drift_id String,
    app LowCardinality(String),
    model LowCardinality(String),
    prompt_version LowCardinality(String),
    kind LowCardinality(String),
    metric LowCardinality(String),
    detector LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    event_id String,
    before Float64,
    after Float64,
    samples UInt64,
    inserted_at DateTime('UTC') DEFAULT now() COMMENT 'the clock of the store: for the TTL alone'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (app, metric, toDate(timestamp), drift_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS feedback_log
(
    feedback_id String,
    event_id String,
    app LowCardinality(String),
    reviewer String,
    judgement LowCardinality(String),
    metric LowCardinality(String),
    comment String CODEC(ZSTD),
    timestamp DateTime64(3, 'UTC'),
    inserted_at DateTime('UTC') DEFAULT now() COMMENT 'the clock of the store: for the TTL alone'
)
ENGINE = ReplacingMergeTree
ORDER BY (app, event_id, feedback_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS dead_letters_log
(
    dead_letter_id String,
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    timestamp DateTime64(3, 'UTC'),
    reason LowCardinality(String),
    detail String,
    size UInt64,
    payload_sha256 String,
    inserted_at DateTime('UTC') DEFAULT now() COMMENT 'the clock of the store: for the TTL alone'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (topic, partition, offset, dead_letter_id)
SETTINGS non_replicated_deduplication_window = 1000;
