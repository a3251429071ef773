"""The command line `weir`: commands are imported when they are called, so that help is quick."""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from streams.errors import did_you_mean, user_error
from streams.terminal.command import readable
from streams.terminal.interrupt import INTERRUPTED

COMMANDS = {
    "up": "Run everything on this machine: embedded broker and store, and all roles.",
    "guard": "Run the guard: events in; decisions, scores and alerts out.",
    "watch": "Run watch: scores in; drift records and alerts out.",
    "archive": "Run the archive: everything into ClickHouse.",
    "notify": "Run notify: alerts in; their life cycle out, and to receivers.",
    "gate": "Run the gate: judge what comes by HTTP, and answer at once.",
    "desk": "Serve pages: what happens, why, and what waits for a review.",
    "topics": "Create the Kafka topics.",
    "migrate": "Create or update the ClickHouse tables.",
    "publish": "Publish events from a JSONL, CSV or Parquet file, or from stdin.",
    "tail": "Follow decisions, alerts, drift records or dead letters.",
    "alerts": "List alerts, acknowledge, silence or resolve them.",
    "dlq": "List, show, republish or drop dead letters.",
    "check": "Score one text and show the evidence.",
    "backtest": "Try a draft of a policy on stored scores.",
    "policy": "Check, compare and explain policies.",
    "reviews": "Show what reviews say: precision of rules, agreement, misses.",
    "export": "Write reviewed events to a file, for training.",
    "feedback": "Say whether a decision was right.",
    "sql": "Run a query on ClickHouse.",
    "schema": "Print the JSON Schema of a message.",
    "doctor": "Check settings, broker, store and models, and say what to do.",
}
"""Name and short help of each command; the module `streams.commands.<name>` holds `command`."""


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
        if name != "doctor":  # which tells of every variable
            _tell_misspelt()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say what is allowed where a command does not exist."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            meant = did_you_mean(args[0], COMMANDS)
            ctx.fail(f"no command {args[0]!r}{meant}; there are {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run and exit; a user's mistake is one message on stderr, never a traceback."""
        sys.exit(self._main(args, prog_name, extra))

    def _main(self, args: Sequence[str] | None, prog_name: str | None, extra: dict[str, Any]) -> int:
        try:
            status = super().main(args, prog_name, standalone_mode=False, **extra)
        except click.Abort:  # Ctrl-C, wherever it hit: while a command is imported, too
            return INTERRUPTED
        except click.ClickException as error:
            return _show(error)
        except Exception as error:
            shown = user_error(error)
            if shown is None:
                raise
            told = click.ClickException("; ".join(filter(None, (str(shown), shown.hint))))
            told.exit_code = shown.exit_code
            return _show(told)
        return status if isinstance(status, int) else 0


def _tell_misspelt() -> None:
    """Say which settings were hardly meant to be nobody's: what they ask for would not be done."""
    names = [name for name in os.environ if name.upper().startswith("WEIR_")]
    if not names:  # then no command has to wait for the settings to be imported
        return
    from streams.settings import misspelt

    for name, meant in misspelt(names).items():
        click.echo(readable(f"warning: nothing reads {name}: is {meant} meant?\n"), err=True, nl=False)


def _show(error: click.ClickException) -> int:
    message = io.StringIO()
    error.show(message)
    click.echo(readable(message.getvalue()), err=True, nl=False)
    return error.exit_code


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


def main() -> None:
    """Run the command line."""
    for name in ("stdout", "stderr"):  # closed by who called (`>&-`): what nobody reads is no reason to fail
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (until the end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows few characters is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    weir.main(prog_name="weir")
