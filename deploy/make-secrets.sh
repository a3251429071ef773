#!/bin/sh
# Make the secrets of docker-compose.yml, once: 64 random hex digits each. A file that is there is kept.
set -eu
cd "$(dirname "$0")/secrets"
# Only the owner enters the folder; the containers' users, which are others, read the mounted files.
chmod 700 .
for name in weir_clickhouse_password weir_redaction_key weir_desk_password clickhouse_reader_password \
    grafana_admin_password; do
    if [ -e "$name" ]; then
        echo "$name: kept"
    else
        od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$name"
        chmod 444 "$name"
        echo "$name: made"
    fi
done
