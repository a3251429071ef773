-- Which detectors scored an event. A view keeps the columns of the day it was made, so it is made again.
ALTER TABLE events_log ADD COLUMN IF NOT EXISTS detectors_hash LowCardinality(String) AFTER policy_hash;

CREATE OR REPLACE VIEW events AS SELECT * FROM events_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
