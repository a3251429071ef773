"""`weir guard`."""

import click


@click.command()
def command() -> None:
    """Judge every event of llm.events, and of llm.events.bulk, and answer on llm.decisions, llm.scores and
    llm.alerts.

    Runs until SIGTERM, then finishes what it has read. Start as many as the topic has partitions.

    \b
    Example:
      WEIR_KAFKA=kafka:9092 weir guard
    """
    from streams.roles.guard import Guard
    from streams.roles.run import run_role

    run_role("guard", Guard)
