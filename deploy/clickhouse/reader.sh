# Sourced by the image's entrypoint when the data directory is empty: a user that only reads, for Grafana.
# Grafana passes on whatever SQL its users write.
clickhouse client --host 127.0.0.1 --user "$CLICKHOUSE_USER" \
    --password "$(cat /run/secrets/weir_clickhouse_password)" --multiquery --query "
CREATE USER IF NOT EXISTS reader IDENTIFIED WITH sha256_password BY '$(cat /run/secrets/clickhouse_reader_password)'
    SETTINGS readonly = 2, max_execution_time = 60;
GRANT SELECT ON weir.* TO reader;"
