"""`weir watch`."""

import asyncio
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from streams.terminal.command import Command, columns, counted, plain

if TYPE_CHECKING:
    from streams.monitors.segment import Watched
    from streams.monitors.snapshots import Newest
    from streams.settings import Settings

HEADER = ("watched", "level", "now", "state", "to an alarm")


@click.command(cls=Command)
@click.option(
    "--explain",
    metavar="SEGMENT",
    help="Show levels, windows and tests of APP, or APP/MODEL/VERSION/KIND, until Ctrl-C.",
)
@click.option("--once", is_flag=True, help="With --explain: show what is there now, and end.")
def command(explain: str | None, once: bool) -> None:
    """Follow the scores of every segment and publish drift on llm.drift and llm.alerts.

    Runs until SIGTERM. Its state is kept in llm.state, so that it survives a restart. With --explain it reads
    that state and takes part in nothing: what a running watch knows, as of its last snapshot.

    \b
    Example:
      WEIR_KAFKA=kafka:9092 weir watch
      weir watch --explain shop-support
      weir watch --explain shop-support/harbour-large/7/completion --once
    """
    if explain is not None:
        from streams.settings import load

        asyncio.run(_explain(load(), explain, once or not sys.stdout.isatty()))
        return
    if once:
        raise click.UsageError("--once goes with --explain")
    from streams.roles.run import run_role
    from streams.roles.watch import Watch

    run_role("watch", Watch)


async def _explain(settings: "Settings", wanted: str, once: bool) -> None:
    from schemas import topics
    from streams.kafka.clients import BrokerError
    from streams.kafka.topics import missing_topics
    from streams.monitors.segment import Watched
    from streams.monitors.state_topic import StateTopic

    if missing := {topics.SCORES, topics.STATE} & set(await missing_topics(settings)):
        hint = "create the topics with `weir topics`"
        raise BrokerError(f"{settings.kafka} has no topic {min(missing)}: {hint}")
    watched = Watched(settings.watch_metrics, settings.watch_quiet_events, settings.watch_learn_values)
    state = StateTopic(settings)
    await state.start()
    try:
        while True:
            partitions = await state.partitions(topics.SCORES)
            newest = await state.read(frozenset(range(partitions)), partitions)
            text = "\n".join(_shown(newest, watched, wanted)) or f"no segment {plain(wanted)} in llm.state"
            click.echo(text if once else f"\033[H\033[2J{text}\nCtrl-C ends")
            if once:
                return
            await asyncio.sleep(settings.watch_snapshot_s)
    finally:
        await state.stop()


def _shown(newest: "Newest", watched: "Watched", wanted: str) -> Iterator[str]:
    from streams.monitors.explain import chosen, explain
    from streams.terminal.table import TextTable

    for name, state in sorted(chosen(newest, watched, wanted), key=lambda pair: pair[0]):
        learning = ", some of it is being learned" if state.is_learning else ""
        yield f"{plain(name)}: {counted(state.samples, 'event')}{learning}"
        rows = [tuple(map(plain, line)) for line in explain(state)]
        table = TextTable(HEADER, rows, (False, True, True, False, True), columns())
        yield from (*table.head(), *map(table.row, rows), "")
