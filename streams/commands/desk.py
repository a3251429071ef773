"""`weir desk`."""

import click

from streams.terminal.command import Command


@click.command(cls=Command)
def command() -> None:
    """Serve the pages: what happens, what was blocked and why, what moved, and what waits for a review.

    Reads ClickHouse and writes llm.feedback; keeps nothing itself. Opens at WEIR_DESK_LISTEN,
    http://127.0.0.1:9490 by default. Runs until SIGTERM.

    \b
    Example:
      weir desk
    """
    from streams.roles.desk import run
    from streams.settings import load
    from streams.telemetry.logs import configure_logging
    from streams.telemetry.metrics import Telemetry

    settings = load()
    configure_logging(settings, "desk")
    click.echo(f"http://{settings.desk_listen}", err=True)
    run(settings, Telemetry("desk", settings.health_stall_s))
