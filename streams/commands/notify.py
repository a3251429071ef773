"""`weir notify`."""

import asyncio

import click

from streams.terminal.command import Command, say


@click.command(cls=Command)
@click.option("--test", "name", metavar="ROUTE", help="Send a made-up alert by this route, and end.")
def command(name: str | None) -> None:
    """Keep the life cycle of alerts on llm.alert-states, and tell receivers by the routes of WEIR_ROUTES.

    Reads llm.alerts, llm.drift and llm.alert-actions. One worker has all of it; others stand by. Without
    routes nobody is told, but `weir alerts` and SQL know the alerts. docs/alerts.md has the routes. Runs
    until SIGTERM.

    \b
    Example:
      WEIR_ROUTES=routes.yaml weir notify
      weir notify --test oncall
    """
    from streams.settings import load

    settings = load()
    if name is not None:
        from streams.alerts.trial import send_trial

        say(asyncio.run(send_trial(settings.routes, name)))
        return
    from streams.roles.notify import run
    from streams.telemetry.logs import configure_logging
    from streams.telemetry.metrics import Telemetry

    configure_logging(settings, "notify")
    run(settings, Telemetry("notify", settings.health_stall_s))
