-- Which groups a text names; gaps between groups; what a drift rests on.
ALTER TABLE events_log ADD COLUMN IF NOT EXISTS named_groups Array(LowCardinality(String)) AFTER pii_types;

CREATE OR REPLACE VIEW events AS SELECT * FROM events_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

ALTER TABLE drift_log ADD COLUMN IF NOT EXISTS named_group LowCardinality(String) AFTER cause;
ALTER TABLE drift_log ADD COLUMN IF NOT EXISTS evidence Array(Tuple(detector String, metric String, label String, start Int64, end Int64, weight Nullable(Float64), text String)) AFTER named_group;

CREATE OR REPLACE VIEW drift AS SELECT * FROM drift_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE TABLE IF NOT EXISTS bias_log
(
    bias_id String,
    app LowCardinality(String),
    model LowCardinality(String),
    prompt_version LowCardinality(String),
    named_group LowCardinality(String),
    measure LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    since DateTime64(3, 'UTC'),
    level Float64,
    others Float64,
    samples UInt64,
    others_samples UInt64,
    gap_low Float64,
    gap_high Float64,
    found Bool,
    inserted_at DateTime('UTC') DEFAULT now() COMMENT 'the clock of the store: for the TTL alone'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (app, named_group, measure, toDate(timestamp), bias_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW bias AS SELECT * FROM bias_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
