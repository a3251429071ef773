ALTER TABLE drift_log DROP COLUMN IF EXISTS cause;
ALTER TABLE drift_log DROP COLUMN IF EXISTS after_high;
ALTER TABLE drift_log DROP COLUMN IF EXISTS after_low;
ALTER TABLE drift_log DROP COLUMN IF EXISTS after_samples;
ALTER TABLE drift_log DROP COLUMN IF EXISTS before_samples;
ALTER TABLE drift_log DROP COLUMN IF EXISTS began_at;
CREATE OR REPLACE VIEW drift AS SELECT * FROM drift_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
