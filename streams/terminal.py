"""What every command shares on a terminal: Ctrl-C, closed pipes, colour, text from outside."""

import logging
import os
import sys
from typing import Any

import click

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells count it."""
CLOSED_PIPE = 141
"""Exit status after the reader of the output went away: 128 + SIGPIPE."""


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
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # The interpreter flushes stdout once more at its end; that must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(CLOSED_PIPE)


def counted(number: int, noun: str) -> str:
    """Return `1 event`, `2,000 events`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def plain(text: str) -> str:
    """Return `text` on one line and without control characters: it may come from anywhere, and a terminal
    obeys escape sequences.
    """
    return text if text.isprintable() else "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
