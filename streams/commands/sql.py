"""`weir sql`."""

import sys
from typing import TYPE_CHECKING

import click

from streams.terminal import Command, counted

if TYPE_CHECKING:
    from streams.results import ResultFormat
    from streams.store import Result, Store


@click.command(cls=Command)
@click.argument("query")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "tsv", "csv", "json"]),
    help="Of the output; default: a table on a terminal, TSV elsewhere.",
)
def command(query: str, format_: "ResultFormat | None") -> None:
    """Run QUERY (`-`: read it from stdin) on ClickHouse, in weir's database, and print the result.

    Several statements with `;` between them run one after the other, until one fails. The main tables are
    events (one wide row per event, every metric a column), alerts, drift, feedback and dead_letters. Times
    are UTC.

    \b
    Example:
      weir sql "SELECT app, count() FROM events GROUP BY app"
      weir sql --format csv "SELECT timestamp, event_id, injection FROM events WHERE injection > 0.9"
      weir sql - < report.sql
    """
    from streams.settings import load
    from streams.statements import split
    from streams.storing import make_store

    statements = split(sys.stdin.read() if query == "-" else query)
    if not statements:
        raise click.UsageError("the query is empty")
    format_ = format_ or ("table" if sys.stdout.isatty() else "tsv")
    store = make_store(load())
    try:
        for number, statement in enumerate(statements, 1):
            where = f"statement {number} of {len(statements)}: " if len(statements) > 1 else ""
            result = _run(store, statement, where)
            if number > 1:
                click.echo()
            _print(result, format_)
    finally:
        store.close()


def _run(store: "Store", statement: str, where: str) -> "Result":
    from streams.cli import USAGE, UserError
    from streams.statements import has_format
    from streams.store_errors import QueryError

    try:
        return store.query(statement)
    except QueryError as error:
        if has_format(statement) and "Syntax error" in str(error):
            raise UserError(
                f"{where}leave FORMAT out of the query: --format says how its result is written", USAGE
            ) from None
        raise QueryError(f"{where}{error}") from None


def _print(result: "Result", format_: "ResultFormat") -> None:
    from streams.results import render

    if not result.columns:
        click.echo("ok")
        return
    click.echo(render(format_, result.columns, result.rows))
    if format_ == "table":
        click.secho(counted(len(result.rows), "row"), err=True, dim=True)
