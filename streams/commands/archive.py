"""`weir archive`."""

import click


@click.command()
def command() -> None:
    """Write scores, alerts, drift records, feedback and dead letters to ClickHouse.

    Runs until SIGTERM. While the store is away the rows wait in Kafka; none is lost.

    \b
    Example:
      WEIR_KAFKA=kafka:9092 WEIR_CLICKHOUSE=http://clickhouse:8123 weir archive
    """
    from streams.roles.archive import Archive
    from streams.roles.run import run_role
    from streams.store.client import make_store

    run_role("archive", lambda settings, telemetry: Archive(settings, telemetry, make_store(settings)))
