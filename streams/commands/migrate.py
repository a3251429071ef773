"""`weir migrate`."""

import click

from streams.terminal.command import Command


@click.command(cls=Command)
@click.option(
    "--to", type=click.IntRange(min=0), metavar="N", help="Undo the migrations above N, with their rows."
)
@click.option("--yes", is_flag=True, help="Do not ask before undoing.")
def command(to: int | None, yes: bool) -> None:
    """Create or update the ClickHouse tables, with a column for every metric.

    Harmless to repeat, and for two processes at a time.

    \b
    Example:
      WEIR_CLICKHOUSE=https://clickhouse:8443 WEIR_CLICKHOUSE_PASSWORD=… weir migrate
    """
    from streams.decisions.scoring import make_runner
    from streams.settings import load
    from streams.store.client import make_store

    settings = load()
    store = make_store(settings)
    if to is not None:
        question = f"Undo the migrations above {to} in {settings.clickhouse_database}, with their rows?"
        if not (yes or click.confirm(question)):
            click.echo("nothing was undone")
            raise click.exceptions.Exit(1)
        done = [f"{m.version:04d}_{m.name}" for m in store.rollback(to)]
        click.echo("\n".join(f"undone   {name}" for name in done) or "nothing to undo")
        return
    changes = store.migrate(list(make_runner(settings).metrics), settings.events_ttl_days)
    lines = [f"made again  {name}, which was missing" for name in changes.restored]
    lines += [f"applied  {m.version:04d}_{m.name}" for m in changes.applied]
    click.echo("\n".join(lines) or "up to date")
