"""`weir tail`."""

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import click

from schemas.events import VERDICTS, RuleSeverity
from schemas.topics import CHANNELS
from streams.terminal.command import Command, columns, plain, write

if TYPE_CHECKING:
    from streams.settings import Settings
    from streams.terminal.messages import Filter, Tail

NAMES = tuple(dict.fromkeys(each.tail for each in CHANNELS if each.tail))
POLL_MS = 200


@click.command(cls=Command)
@click.argument("what", type=click.Choice(NAMES))
@click.option("--from-start", is_flag=True, help="Begin with the oldest message; default: with the next one.")
@click.option("--no-follow", is_flag=True, help="Show what is there now, from the start, and end.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="End after N messages.")
@click.option("--app", help="Only this app.")
@click.option("--event", metavar="ID", help="Only this event id.")
@click.option("--action", type=click.Choice(VERDICTS), help="Only this action.")
@click.option("--rule", metavar="ID", help="Only where this rule hit, in shadow too.")
@click.option(
    "--severity", type=click.Choice(get_args(RuleSeverity)), help="Only this severity or a graver one."
)
@click.option("--json", "as_json", is_flag=True, help="Each message as it was published, one per line.")
def command(
    what: str, from_start: bool, no_follow: bool, limit: int | None, as_json: bool, **conditions: str | None
) -> None:
    """Follow messages as they come, until Ctrl-C.

    A line has the time (UTC), what was decided and why. The text of a prompt or completion is never shown;
    with --json a message is printed as it is on Kafka, where a decision may hold the redacted text and an
    event the text itself. Reading takes part in no consumer group and disturbs nobody.

    \b
    Example:
      weir tail decisions --action block
      weir tail alerts --severity high --json | jq .title
      weir tail dlq --no-follow
    """
    from streams.settings import load
    from streams.terminal.messages import TAILS, Filter

    stream, filter_ = TAILS[what], Filter(**conditions)
    for name in filter_.wanted():
        if name not in stream.filters:
            suited = [other for other, each in TAILS.items() if name in each.filters]
            raise click.UsageError(f"--{name} does not go with {what}: it goes with {', '.join(suited)}")
    asyncio.run(_tail(load(), stream, filter_, from_start or no_follow, not no_follow, limit, as_json))


async def _tail(
    settings: "Settings",
    stream: "Tail",
    filter_: "Filter",
    from_start: bool,
    follow: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    from schemas.rejection import Rejected
    from streams.kafka.clients import BrokerError
    from streams.kafka.records import require_readable
    from streams.kafka.topics import missing_topics
    from streams.terminal import messages
    from streams.terminal.table import Aligner

    if missing := set(stream.topics) & set(await missing_topics(settings)):
        raise BrokerError(
            f"{settings.kafka} has no topic {min(missing)}: create the topics with `weir topics`"
        )
    aligner, shown = Aligner(room=columns()), 0
    async with contextlib.aclosing(_records(settings, stream.topics, from_start, follow)) as records:
        async for record in records:
            try:
                require_readable(record)
                message = stream.decode(record.value)
            except Rejected as rejected:
                if not filter_.wanted():
                    where = f"{record.topic}/{record.partition}@{record.offset}"
                    click.secho(plain(f"{where}: not readable: {rejected.detail}"), err=True, dim=True)
                continue
            if not filter_.matches(message):
                continue
            if as_json:
                write(messages.as_json(record.value) + "\n")
                # Whoever reads this from a pipe waits for the line.
                sys.stdout.flush()
            else:
                click.echo(aligner.line(stream.line(message, record.timestamp)))
            shown += 1
            if shown == limit:
                return
    if not shown:
        click.secho("0 messages", err=True, dim=True)


async def _records(
    settings: "Settings", topics: Sequence[str], from_start: bool, follow: bool
) -> AsyncGenerator[Any, None]:
    from streams.kafka.clients import consuming

    async with consuming(settings, *topics, from_start=from_start) as consumer:
        partitions = consumer.assignment()
        if not from_start:
            await consumer.seek_to_end()
        if follow and (not from_start or sys.stderr.isatty()):
            begin = "the oldest message" if from_start else "the next message (--from-start: the oldest)"
            click.secho(f"following {', '.join(topics)} from {begin} on; Ctrl-C ends", err=True, dim=True)
        if not follow:
            async for record in _merged(consumer, await consumer.end_offsets(partitions)):
                yield record
        while follow:
            fetched = await consumer.getmany(timeout_ms=POLL_MS)
            records = [record for part in fetched.values() for record in part]
            for record in sorted(records, key=lambda record: record.timestamp):
                yield record


async def _merged(consumer: Any, ends: Mapping[Any, int]) -> AsyncGenerator[Any, None]:
    """Yield what lies before the ends of the partitions, in the order of Kafka's timestamps."""
    waiting: dict[Any, deque[Any]] = {part: deque() for part in ends}
    while waiting:
        empty = [part for part, records in waiting.items() if not records]
        for part in empty:
            if await consumer.position(part) >= ends[part]:
                del waiting[part]
        # The oldest is known only once every partition that goes on has shown one.
        if lacking := [part for part in empty if part in waiting]:
            for part, records in (await consumer.getmany(*lacking, timeout_ms=POLL_MS)).items():
                waiting[part].extend(records)
        elif waiting:
            yield min(waiting.values(), key=lambda records: records[0].timestamp).popleft()
