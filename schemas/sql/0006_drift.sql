-- When a drift began, how sure its levels are, and which drift has the alert of its cause.
ALTER TABLE drift_log ADD COLUMN IF NOT EXISTS began_at DateTime64(3, 'UTC') AFTER samples;
ALTER TABLE drift_log ADD COLUMN IF NOT EXISTS before_samples UInt64 AFTER began_at;
ALTER TABLE drift_log ADD COLUMN IF NOT EXISTS after_samples UInt64 AFTER before_samples;
ALTER TABLE drift_log ADD COLUMN IF NOT EXISTS after_low Nullable(Float64) AFTER after_samples;
ALTER TABLE drift_log ADD COLUMN IF NOT EXISTS after_high Nullable(Float64) AFTER after_low;
ALTER TABLE drift_log ADD COLUMN IF NOT EXISTS cause String AFTER after_high;

CREATE OR REPLACE VIEW drift AS SELECT * FROM drift_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
