"""`weir watch`."""

import click


@click.command()
def command() -> None:
    """Follow the scores of every segment and publish drift on llm.drift and llm.alerts.

    Runs until SIGTERM. Its state is kept in llm.state, so that it survives a restart.

    \b
    Example:
      WEIR_KAFKA=kafka:9092 weir watch
    """
    from streams.roles.run import run_role
    from streams.roles.watch import Watch

    run_role("watch", Watch)
