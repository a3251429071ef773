DROP VIEW IF EXISTS bias;
DROP TABLE IF EXISTS bias_log;
ALTER TABLE drift_log DROP COLUMN IF EXISTS evidence;
ALTER TABLE drift_log DROP COLUMN IF EXISTS named_group;
CREATE OR REPLACE VIEW drift AS SELECT * FROM drift_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
ALTER TABLE events_log DROP COLUMN IF EXISTS named_groups;
CREATE OR REPLACE VIEW events AS SELECT * FROM events_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
