-- The language of the text, ISO 639-1; empty where it is not known, as for all events before this.
ALTER TABLE events_log ADD COLUMN IF NOT EXISTS language LowCardinality(String) AFTER pii_types;

CREATE OR REPLACE VIEW events AS SELECT * FROM events_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
