"""`weir sql`."""

import itertools
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from streams.terminal.command import CLOSED_PIPE, Command, columns, counted, write
from streams.terminal.interrupt import leave

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.store.client import Store
    from streams.store.queries import Stream
    from streams.terminal.results import ResultFormat

PART: Final = 500
"""Lines that are written at once."""


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
    from streams.store import sql_text
    from streams.store.client import make_store

    statements = sql_text.statements(sys.stdin.read() if query == "-" else query)
    if not statements:
        raise click.UsageError("the query is empty")
    format_ = format_ or ("table" if sys.stdout.isatty() else "tsv")
    store = make_store(load())
    try:
        _run_all(store, statements, format_)
    finally:
        store.close()


def _run_all(store: "Store", statements: "Sequence[str]", format_: "ResultFormat") -> None:
    for number, statement in enumerate(statements, 1):
        where = f"statement {number} of {len(statements)}: " if len(statements) > 1 else ""
        _run(store, statement, where, format_, "\n" if number > 1 else "")


def _run(store: "Store", statement: str, where: str, format_: "ResultFormat", separator: str) -> None:
    from streams.errors import UserError
    from streams.store.errors import QueryError
    from streams.store.sql_text import has_format

    try:
        with store.stream(statement) as result:
            try:
                click.echo(separator, nl=False)
                _print(result, format_)
            except BrokenPipeError:
                # The client would first read the rest of the result, which may be billions of rows.
                leave(CLOSED_PIPE)
    except QueryError as error:
        if has_format(statement) and "Syntax error" in str(error):
            raise UserError(
                f"{where}leave FORMAT out of the query: --format says how its result is written"
            ) from None
        raise QueryError(f"{where}{error}") from None


def _print(result: "Stream", format_: "ResultFormat") -> None:
    from streams.terminal.results import render

    if not result.columns:
        click.echo("ok")
        return
    rows = CountedRows(result.rows)
    lines = render(format_, result.columns, rows, columns())
    # In parts: one call per line would take as long as the query.
    while part := "".join(itertools.islice(lines, PART)):
        write(part)
    if format_ == "table":
        click.secho(counted(rows.taken, "row"), err=True, dim=True)


class CountedRows:
    """Counts rows while they are taken."""

    def __init__(self, rows: "Iterator[Sequence[Any]]") -> None:
        self._rows = rows
        self.taken = 0

    def __iter__(self) -> "Iterator[Sequence[Any]]":
        """Yield each row."""
        for row in self._rows:
            self.taken += 1
            yield row
