ALTER TABLE dead_letters_log DROP COLUMN IF EXISTS app, DROP COLUMN IF EXISTS repeats, DROP COLUMN IF EXISTS state;
CREATE OR REPLACE VIEW dead_letters AS SELECT * FROM dead_letters_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
