-- What becomes of alerts: every change is a row of `alert_changes`, the last one of each alert is its row of
-- `alert_states`. The month is that of the cause: a change that is published again falls on the row that it repeats.
CREATE TABLE IF NOT EXISTS alert_changes_log
(
    change_id String,
    alert_id String,
    change LowCardinality(String),
    number UInt64,
    version UInt64,
    state LowCardinality(String),
    severity LowCardinality(String),
    kind LowCardinality(String),
    rule LowCardinality(String),
    app LowCardinality(String),
    subject String,
    source LowCardinality(String),
    title String,
    timestamp DateTime64(3, 'UTC'),
    opened_at DateTime64(3, 'UTC'),
    last_at DateTime64(3, 'UTC'),
    resolved_at DateTime64(3, 'UTC'),
    reason LowCardinality(String),
    alerts UInt64,
    parts Array(Tuple(
        part_id String, title String, timestamp Int64, began_at Int64, app String, model String, prompt_version String,
        kind String, metric String, score Nullable(Float64), before Nullable(Float64), open_ended Bool, resolved_at Int64
    )) CODEC(ZSTD),
    who String,
    comment String,
    silenced_until DateTime64(3, 'UTC'),
    inserted_at DateTime('UTC') DEFAULT now() COMMENT 'the clock of the store: for the TTL alone'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(opened_at)
ORDER BY (alert_id, change_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS alert_actions_log
(
    action_id String,
    alert_id String,
    action LowCardinality(String),
    who String,
    comment String,
    until DateTime64(3, 'UTC'),
    timestamp DateTime64(3, 'UTC'),
    inserted_at DateTime('UTC') DEFAULT now() COMMENT 'the clock of the store: for the TTL alone'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (alert_id, action_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW alert_changes AS SELECT * FROM alert_changes_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW alert_actions AS SELECT * FROM alert_actions_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW alert_states AS SELECT * FROM alert_changes_log ORDER BY version DESC, timestamp DESC LIMIT 1 BY alert_id;

ALTER TABLE alerts_log ADD COLUMN IF NOT EXISTS subject String AFTER policy_hash;
ALTER TABLE alerts_log ADD COLUMN IF NOT EXISTS open_ended Bool AFTER subject;
ALTER TABLE alerts_log ADD COLUMN IF NOT EXISTS resolved_at DateTime64(3, 'UTC') AFTER open_ended;
ALTER TABLE drift_log ADD COLUMN IF NOT EXISTS returns String AFTER cause;

CREATE OR REPLACE VIEW alerts AS SELECT * FROM alerts_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW drift AS SELECT * FROM drift_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
