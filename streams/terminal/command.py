"""What every command shares on a terminal: Ctrl-C, closed pipes, colour, text from outside."""

import getpass
import logging
import os
import re
import shutil
import sys
import unicodedata
from typing import Any, Final

import click

from streams.terminal.interrupt import INTERRUPTED

CLOSED_PIPE = 141
"""Exit status after the reader of the output went away: 128 + SIGPIPE."""
WIDE: Final = 1_000
"""Columns of a line that nobody's terminal limits."""
_OUTSIDE_ASCII: Final = re.compile(r"[^\n -~]")
_HIDDEN: Final = {"Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"}
"""Unicode's categories of what a terminal obeys or does not show: controls (C0, C1), formats (bidi controls
among them), halves of surrogate pairs, unassigned, private, separators of lines and paragraphs.
"""


class Command(click.Command):
    """A command that ends quietly when it is interrupted or when nobody reads its output any more."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; an interruption becomes an exit status instead of a traceback."""
        if os.environ.get("NO_COLOR"):  # https://no-color.org
            ctx.color = False
        # A client that retries would write log lines into the output; its errors are shown by us.
        for name in ("aiokafka", "urllib3", "clickhouse_connect"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here a closed pipe is still ours to handle
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # The interpreter flushes stdout once more at its end; that must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(CLOSED_PIPE)
        return result


def user_name() -> str:
    """Return the name of who is at this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        return "unknown"


def counted(number: int, noun: str) -> str:
    """Return `1 event`, `2,000 events`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def columns() -> int:
    """Return how many columns a line of stdout may take: a terminal's width, or else many."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE


def plain(text: str) -> str:
    """Return `text` on one line and without what a terminal obeys or hides: it may come from anywhere."""
    return text if text.isprintable() else readable(text).replace("\n", "\\n")


def readable(text: str) -> str:
    """Return `text` as `plain` does, with its line breaks."""
    return _OUTSIDE_ASCII.sub(lambda match: _shown(match[0]), text)


def json_text(text: str) -> str:
    """Return JSON that means the same, with `\\u` in place of what a terminal obeys or hides."""
    return _OUTSIDE_ASCII.sub(lambda match: _json_escape(match[0]), text)


def say(text: str, *, err: bool = False) -> None:
    """Print a message for people, which may quote what comes from outside."""
    click.echo(readable(text), err=err)


def write(text: str) -> None:
    """Write data to stdout: as it is for a machine; to a terminal without what it would obey.

    Unlike `click.echo` it leaves escape sequences in data that goes into a file or a pipe.
    """
    if sys.stdout.isatty():
        text = "\t".join(map(readable, text.split("\t")))
    sys.stdout.write(text)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode() if _is_hidden(character) else character


def _json_escape(character: str) -> str:
    if not _is_hidden(character):
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
