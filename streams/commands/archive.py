"""`weir archive`."""

import click


@click.command()
def command() -> None:
    """Write everything that has a table to ClickHouse: scores, alerts, drift, feedback and dead letters.

    Runs until SIGTERM. While the store is away the rows wait in Kafka; none is lost.

    \b
    Example:
      WEIR_KAFKA=kafka:9092 WEIR_CLICKHOUSE=http://clickhouse:8123 weir archive
    """
    from streams.roles.archive import Archive
    from streams.roles.run import run_role
    from streams.store.client import make_store

    run_role("archive", lambda settings, telemetry: Archive(settings, telemetry, make_store(settings)))
