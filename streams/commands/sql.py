"""`weir sql`."""

import sys

import click

from streams.terminal import Command, counted


@click.command(cls=Command)
@click.argument("query")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "tsv", "csv", "json"]),
    help="Of the output; default: a table on a terminal, TSV elsewhere.",
)
def command(query: str, format_: str | None) -> None:
    """Run QUERY (`-`: read it from stdin) on ClickHouse, in weir's database, and print the result.

    The main tables are events (one wide row per event, every metric a column), alerts, drift, feedback and
    dead_letters. Times are UTC.

    \b
    Example:
      weir sql "SELECT app, count() FROM events GROUP BY app"
      weir sql --format csv "SELECT timestamp, event_id, injection FROM events WHERE injection > 0.9"
      weir sql - < report.sql
    """
    from streams.results import render
    from streams.settings import load
    from streams.storing import make_store

    if query == "-":
        query = sys.stdin.read()
    query = query.strip().rstrip(";")
    if not query:
        raise click.UsageError("the query is empty")
    store = make_store(load())
    try:
        result = store.query(query)
    finally:
        store.close()
    format_ = format_ or ("table" if sys.stdout.isatty() else "tsv")
    if result.columns:
        click.echo(render(format_, result.columns, result.rows))  # type: ignore[arg-type]
    if format_ == "table":
        click.secho(counted(len(result.rows), "row"), err=True, dim=True)
