-- Of a flood, one letter stands for many: `repeats` are the offsets of the others. `state` is what was done.
ALTER TABLE dead_letters_log ADD COLUMN IF NOT EXISTS app LowCardinality(String) AFTER payload_sha256, ADD COLUMN IF NOT EXISTS repeats Array(Int64) CODEC(ZSTD) AFTER app, ADD COLUMN IF NOT EXISTS state LowCardinality(String) AFTER repeats;

CREATE OR REPLACE VIEW dead_letters AS SELECT * FROM dead_letters_log FINAL SETTINGS do_not_merge_across_partitions_select_final = 1;
