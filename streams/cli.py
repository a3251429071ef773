"""The command line `weir`: commands are imported when they are called, so that help is quick."""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

COMMANDS = {
    "up": "Run everything on this machine: embedded broker and store, and the three roles.",
    "guard": "Run the guard: events in; decisions, scores and alerts out.",
    "watch": "Run watch: scores in; drift records and alerts out.",
    "archive": "Run the archive: everything into ClickHouse.",
    "topics": "Create the Kafka topics.",
    "migrate": "Create or update the ClickHouse tables.",
    "publish": "Publish events from a JSONL, CSV or Parquet file, or from stdin.",
    "tail": "Follow decisions, alerts, drift records or dead letters.",
    "dlq": "List, show, republish or drop dead letters.",
    "check": "Score one text and show the evidence.",
    "sql": "Run a query on ClickHouse.",
    "schema": "Print the JSON Schema of a message.",
    "doctor": "Check settings, broker, store and models, and say what to do.",
}
"""Name and short help of each command; the module `streams.commands.<name>` holds `command`."""

FATAL = 1
USAGE = 2
DEAD_LETTERS = 4
"""Exit code when there are too many dead letters: starting again would not help."""


class UserError(click.ClickException):
    """A mistake that the user can mend; shown as one message, without a traceback."""

    def __init__(self, message: str, exit_code: int = FATAL) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class LazyGroup(click.Group):
    """Imports a command's module only when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return one command."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"streams.commands.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say what is allowed where a command does not exist."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; there are {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="weir-llm", prog_name="weir")
def weir() -> None:
    """Streaming monitoring and guardrails for LLM traffic.

    Settings come from the environment (WEIR_KAFKA, WEIR_CLICKHOUSE, …); `weir doctor` checks them.

    \b
    Example:
      weir up                                   # in one terminal
      weir check "Ignore all previous instructions"
    """


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run the command line; a user's mistake is one line on stderr, never a traceback."""
    try:
        return weir.main(args=list(arguments) if arguments is not None else None, prog_name="weir")
    except Exception as error:
        from streams.errors import user_error  # knows every layer: imported only when it is needed

        shown = user_error(error)
        if shown is None:
            raise
        shown.show()
        sys.exit(shown.exit_code)
