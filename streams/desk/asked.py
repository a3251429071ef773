"""What the pages ask the store, and the SQL that they show."""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from clickhouse_connect.driver.binding import format_str

from streams.store.client import Store

Row = dict[str, Any]
_PARAMETER: Final = re.compile(r"\{(\w+):(\w+)\}")


class Found(list[Row]):
    """The rows of a statement, and its number on the page."""

    number: int = 0


@dataclass
class Asked:
    """A store, and the statements that a page has sent it."""

    store: Store
    statements: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    """Ids of events whose text was kept as it came, and is shown."""

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Found:
        """Return the rows of a query by column name."""
        self.statements.append(spelled(sql, parameters or {}))
        answer = self.store.query(sql, parameters)
        found = Found(dict(zip(answer.columns, row, strict=True)) for row in answer.rows)
        found.number = len(self.statements)
        self.whole += [row["event_id"] for row in found if row.get("storage") == "full" and row.get("text")]
        return found

    def together(self, *questions: Callable[["Asked"], Found]) -> list[Found]:
        """Ask several questions at once, and return their answers in the same order.

        A store that has each event once reads with one core for the most part: side by side they take
        about as long as the slowest.
        """
        parts = [Asked(self.store) for _ in questions]
        with ThreadPoolExecutor(len(questions)) as pool:
            answers = [*pool.map(lambda question, part: question(part), questions, parts)]
        for found, part in zip(answers, parts, strict=True):
            found.number += len(self.statements)
            self.statements += part.statements
            self.whole += part.whole
        return answers

    def row(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Row:
        """Return the one row of a query that always has one."""
        [row] = self.rows(sql, parameters)
        return row


def spelled(sql: str, parameters: Mapping[str, Any]) -> str:
    """Return a statement with its parameters in their places, for `weir sql`."""

    def value(found: re.Match[str]) -> str:
        given = parameters[found[1]]
        return format_str(given) if isinstance(given, str) else str(given)

    return _PARAMETER.sub(value, sql)
