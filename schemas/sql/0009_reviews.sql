-- What reviews change: answers to what was escalated, and changes of the policy.
CREATE TABLE IF NOT EXISTS resolutions_log
(
    decision_id String,
    event_id String,
    app LowCardinality(String),
    kind LowCardinality(String),
    verdict LowCardinality(String),
    action LowCardinality(String),
    severity LowCardinality(String),
    conversation_id String,
    policy_version LowCardinality(String),
    policy_hash LowCardinality(String),
    detectors_hash LowCardinality(String),
    decided_at DateTime64(3, 'UTC'),
    decided_by LowCardinality(String),
    revision Int64,
    inserted_at DateTime('UTC') DEFAULT now() COMMENT 'the clock of the store: for the TTL alone'
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY (app, event_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE TABLE IF NOT EXISTS policy_changes_log
(
    change_id String,
    what LowCardinality(String),
    timestamp DateTime64(3, 'UTC'),
    by LowCardinality(String),
    rule LowCardinality(String),
    rule_hash LowCardinality(String),
    policy_name LowCardinality(String),
    policy_version LowCardinality(String),
    policy_hash LowCardinality(String),
    rules String CODEC(ZSTD),
    reason String,
    right UInt64,
    reviews UInt64,
    since DateTime64(3, 'UTC'),
    inserted_at DateTime('UTC') DEFAULT now() COMMENT 'the clock of the store: for the TTL alone'
)
ENGINE = ReplacingMergeTree
ORDER BY (rule, change_id)
SETTINGS non_replicated_deduplication_window = 1000;

CREATE OR REPLACE VIEW resolutions AS SELECT * FROM resolutions_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW policy_changes AS SELECT * FROM policy_changes_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

-- One row per event: the decision that counts now, a reviewer's where there is one. `policy_action` was the policy's.
CREATE OR REPLACE VIEW decisions AS
SELECT e.decision_id AS decision_id, e.app AS app, e.event_id AS event_id, e.kind AS kind, e.timestamp AS timestamp,
    e.verdict AS verdict, e.severity AS severity, e.rules AS rules, e.action AS policy_action,
    if(r.decision_id = '', e.action, r.action) AS action,
    if(r.decision_id = '', 'policy', r.decided_by) AS decided_by,
    if(r.decision_id = '', e.decided_at, r.decided_at) AS decided_at,
    r.revision AS revision
FROM events AS e LEFT JOIN resolutions AS r ON e.app = r.app AND e.event_id = r.event_id;
