-- What people query: one row per event, alert, drift record, opinion and dead letter, replayed or not.
-- A replay has the month of the row that it repeats, so partitions need no comparing with each other.
CREATE OR REPLACE VIEW events AS SELECT * FROM events_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW alerts AS SELECT * FROM alerts_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW drift AS SELECT * FROM drift_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW feedback AS SELECT * FROM feedback_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW dead_letters AS SELECT * FROM dead_letters_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
