DROP VIEW IF EXISTS decisions;
DROP VIEW IF EXISTS policy_changes;
DROP VIEW IF EXISTS resolutions;
DROP TABLE IF EXISTS policy_changes_log;
DROP TABLE IF EXISTS resolutions_log;
