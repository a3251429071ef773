ALTER TABLE events_log DROP COLUMN IF EXISTS degraded;
CREATE OR REPLACE VIEW events AS SELECT * FROM events_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
