"""What a statement may say, read off the form that the engine's own parser gives it.

`formatQuery` returns one statement without comments, keywords in capitals and every literal and odd name
quoted: words can be told apart without guessing. The engine's grants (`grants.py`) refuse most of what is
refused here; the rest is what an embedded engine, unlike a server, lets any user do: the client's
INTO OUTFILE and FROM INFILE, `file()`, disks, settings that name files or hold expressions.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from streams.local.grants import ENGINES

_WORD = re.compile(r"""'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|\w+|\S""", re.DOTALL)
_STATEMENTS = {
    "SELECT", "WITH", "INSERT", "CREATE", "REPLACE", "DROP", "TRUNCATE", "RENAME", "EXCHANGE", "ALTER",
    "DELETE", "UPDATE", "OPTIMIZE", "UNDROP", "SHOW", "DESCRIBE", "EXISTS", "CHECK", "EXPLAIN", "SET",
    "USE", "KILL", "(",
}  # fmt: skip
_DESTROYING = {"DROP", "TRUNCATE", "RENAME", "EXCHANGE", "ALTER"}
# Without them no statement runs until the next start.
_OWN = {"system", "main", "default", "information_schema"}
_CLAUSES = {("INTO", "OUTFILE"), ("FROM", "INFILE"), ("PARALLEL", "WITH")}
_TABLE_FUNCTIONS = {
    "numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generateseries", "generate_series",
    "generaterandom", "values", "sqlstandardvalues", "null", "merge", "loop", "view", "format", "input",
    "mergetreeindex", "mergetreeprojection",
}  # fmt: skip
# Functions that reach out of the database. They may be handed on without a call: arrayMap(file, …).
_FUNCTIONS = {
    "file", "reversednsquery", "catboostevaluate", "aiclassify", "aiembed", "aiextract", "aifilter",
    "aigenerate", "airedact", "aisimilarity", "aitranslate",
}  # fmt: skip
# Of the settings that are texts, those that name no file, server or user and hold no expression.
_TEXT_SETTINGS = {
    "insert_deduplication_token", "log_comment", "session_timezone", "query_cache_tag",
    "count_distinct_implementation", "ignore_data_skipping_indices", "force_data_skipping_indices",
    "bool_true_representation", "bool_false_representation", "format_csv_null_representation",
    "format_tsv_null_representation", "format_custom_field_delimiter", "format_custom_row_before_delimiter",
    "format_custom_row_after_delimiter", "format_custom_row_between_delimiter",
    "format_custom_result_before_delimiter", "format_custom_result_after_delimiter", "format_regexp",
}  # fmt: skip
_TEXT_TYPES = {"String", "URI", "Map", "Dialect", "SQLSecurityType", "DefaultTableEngine"}


class RefusedError(Exception):
    """The statement may not run here; the message is as ClickHouse would put it."""

    def __init__(self, what: str, code: int = 497, name: str = "ACCESS_DENIED") -> None:
        super().__init__(f"Code: {code}. DB::Exception: The embedded store does not allow {what}. ({name})")


@dataclass(frozen=True)
class Catalogue:
    """What the engine knows, by name, in small letters where it is asked without regard to case."""

    sources: frozenset[str]
    """Table functions and engines."""
    settings: dict[str, str]
    """Types by name."""
    formats: frozenset[str]

    def check_setting(self, name: str) -> None:
        """Raise `RefusedError` unless the setting is a number, a switch or a harmless text."""
        if name not in self.settings:
            raise RefusedError(f"the setting '{name}': Unknown setting", 115, "UNKNOWN_SETTING")
        if self.settings[name] in _TEXT_TYPES and name not in _TEXT_SETTINGS:
            raise RefusedError(f"the setting '{name}'")

    def check_format(self, name: str) -> None:
        """Raise `RefusedError` when the engine has no such format."""
        if name.lower() not in self.formats:
            raise RefusedError(f"the format {name}: Unknown format", 73, "UNKNOWN_FORMAT")

    def check(self, statement: str, *, read_only: bool = False) -> None:
        """Raise `RefusedError` when a statement, as `formatQuery` wrote it, may not run."""
        words = _WORD.findall(statement)
        if read_only and words[:1] == ["KILL"]:  # no change of data, for the engine
            raise RefusedError("KILL in a GET", 164, "READONLY")
        if not words or words[0] not in _STATEMENTS:
            raise RefusedError(words[0] if words else "an empty statement")
        for word, following in zip(words, [*words[1:], ""], strict=True):
            if (word, following) in _CLAUSES:
                raise RefusedError(f"{word} {following}")
        if words[0] in _DESTROYING and _OWN & {word.strip('`"').lower() for word in words[1:6]}:
            raise RefusedError(f"{words[0]} of a database that the engine needs")
        self._check_names(words)
        for name in _settings(words):
            self.check_setting(name)

    def _check_names(self, words: list[str]) -> None:
        for position, word in enumerate(words):
            before, following = words[position - 1 : position], words[position + 1 : position + 2]
            name = word.strip('`"')
            if before == ["."] or word.startswith("'"):
                continue
            if name.lower() in _FUNCTIONS and (before != ["AS"] or following == ["("]):
                raise RefusedError(f"{name}(); a column of that name is written table.{name}")
            if following == ["("] and self._reaches_out(name):
                raise RefusedError(f"{name}()")
            if words[max(position - 2, 0) : position] == ["ENGINE", "="] and name not in ENGINES:
                raise RefusedError(f"ENGINE = {name}")

    def _reaches_out(self, name: str) -> bool:
        harmless = _TABLE_FUNCTIONS | {engine.lower() for engine in ENGINES}
        return name.lower() == "disk" or (name.lower() in self.sources and name.lower() not in harmless)


def _settings(words: list[str]) -> Iterator[str]:
    """Yield the names of all settings that a statement changes."""
    for position, word in enumerate(words):
        if word in ("SETTINGS", "SETTING") or (word == "SET" and not position):
            yield from _assigned(words, position + 1)


def _assigned(words: list[str], position: int) -> Iterator[str]:
    position += words[position : position + 1] == ["("]
    depth = 0
    while words[position + 1 : position + 2] == ["="]:
        yield words[position].strip('`"')
        position += 2
        while position < len(words) and (depth > 0 or words[position] != ","):
            depth += (words[position] in "([{") - (words[position] in ")]}")
            if depth < 0:
                return
            position += 1
        position += 1
