"""Queries of a user and what they return."""

import contextlib
import itertools
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.summary import QuerySummary

from streams.store.errors import CLIENT_ERRORS, classify_query


@dataclass(frozen=True)
class Result:
    """What a query returns."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Stream:
    """What a query returns, while it is read."""

    columns: tuple[str, ...]
    rows: Iterator[Sequence[Any]]


def run(client: Client, url: str, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
    """Return all rows of a query; a statement without a result gives neither columns nor rows.

    `url` is the address of the store, for the errors: `QueryError` holds the server's text.
    """
    try:
        context = client.create_query_context(sql, parameters=dict(parameters) if parameters else None)
        if context.is_command:
            return of_command(client.command(sql, parameters=context.parameters))
        answer = client.query(context=context)
    except CLIENT_ERRORS as error:
        raise classify_query(error, url) from None
    return Result(tuple(answer.column_names), [tuple(row) for row in answer.result_rows])


@contextlib.contextmanager
def stream(client: Client, url: str, sql: str) -> Iterator[Stream]:
    """As `run`; the rows are read from the server as they are taken, in bounded memory."""
    try:
        context = client.create_query_context(sql)
        if context.is_command:
            answer = of_command(client.command(sql))
            yield Stream(answer.columns, iter(answer.rows))
            return
        with client.query_row_block_stream(context=context) as blocks:
            yield Stream(tuple(blocks.source.column_names), itertools.chain.from_iterable(blocks))
    except CLIENT_ERRORS as error:
        if isinstance(error, BrokenPipeError):  # of our own output
            raise
        raise classify_query(error, url) from None


def columns(client: Client, url: str, sql: str) -> Generator[Sequence[Sequence[Any]], None, None]:
    """Yield the blocks of a result, each a sequence of columns; close it to stop early."""
    try:
        with client.query_column_block_stream(sql) as blocks:
            yield from blocks
    except CLIENT_ERRORS as error:
        raise classify_query(error, url) from None


def of_command(answer: object) -> Result:
    """Return what a command answers: most say only how long they took, CHECK TABLE whether all is well."""
    if isinstance(answer, QuerySummary):
        return Result((), [])
    return Result(("result",), [(value,) for value in (answer if isinstance(answer, list) else [answer])])
