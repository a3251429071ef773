"""`weir topics`."""

import asyncio

import click

from streams.terminal.command import Command


@click.command(cls=Command)
def command() -> None:
    """Create the Kafka topics that are missing; an existing one is left as it is.

    WEIR_PARTITIONS and WEIR_REPLICATION say how.

    \b
    Example:
      WEIR_PARTITIONS=12 WEIR_REPLICATION=3 weir topics
    """
    from schemas import topics
    from streams.kafka.topics import create_topics
    from streams.settings import load

    settings = load()
    created = asyncio.run(create_topics(settings))
    for name in topics.ALL:
        click.echo(f"{name:16} {'created' if name in created else 'exists'}")
