ALTER TABLE events_log DROP COLUMN IF EXISTS language;
CREATE OR REPLACE VIEW events AS SELECT * FROM events_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
