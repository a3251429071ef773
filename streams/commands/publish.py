"""`weir publish`."""

import asyncio
import time
from typing import TYPE_CHECKING, get_args

import click

from streams.ingest.files import Format
from streams.terminal.command import Command, counted, plain, say

if TYPE_CHECKING:
    from streams.ingest.field_map import FieldMap
    from streams.ingest.files import RowSource
    from streams.ingest.publish import Publication, Tally
    from streams.settings import Settings

SHOWN_APPS = 5
LANES = ("bulk", "live")


@click.command(cls=Command)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--format", "format_", type=click.Choice(get_args(Format)), help="What is in FILE; default: by its name."
)
@click.option(
    "--map", "columns", multiple=True, metavar="FIELD=COLUMN", help="Take a field from this column."
)
@click.option(
    "--set", "constants", multiple=True, metavar="FIELD=VALUE", help="Give a field this value in every event."
)
@click.option("--metadata", metavar="COLUMN,…", default="", help="Columns that become metadata of the event.")
@click.option("--otel", is_flag=True, help="FILE is JSONL of OpenTelemetry spans: make events of them.")
@click.option("--raw", is_flag=True, help="Send the lines of a JSONL file as they are, good or bad.")
@click.option(
    "--lane",
    type=click.Choice(LANES),
    default="bulk",
    show_default=True,
    help="live: judged at once, as an app's own events; bulk: judged when no live event waits.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Events per second; default: as fast as it goes.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after N events.")
@click.option("--skip-bad", is_flag=True, help="Report rows that are no events, and go on.")
@click.option("--dry-run", is_flag=True, help="Read and validate everything, send nothing.")
def command(
    file: str,
    format_: Format | None,
    columns: tuple[str, ...],
    constants: tuple[str, ...],
    metadata: str,
    otel: bool,
    raw: bool,
    lane: str,
    rate: float | None,
    limit: int | None,
    skip_bad: bool,
    dry_run: bool,
) -> None:
    """Publish events from FILE, or from stdin when FILE is `-`: to llm.events.bulk, or llm.events.

    No event of an app waits for those of the bulk lane, and they get what time is left, a tenth at least;
    decisions and rows are the same. With --lane live they are judged as an app's own.

    FILE is JSONL (one event per line), CSV with a header, or Parquet; gzip is unpacked. Every row is
    checked as the guard would check it before it is sent: a bad one stops the command and is named with
    its line, unless --skip-bad is given. Columns that are named like a field of an event need no --map. An
    event without an event_id gets `<file>-<line>-<hash of its content>`, so publishing the same file again
    repeats the same events, which weir counts once.

    \b
    Example:
      weir publish events.jsonl
      weir publish prompts.csv --map text=question --map event_id=id --set app=shop --set kind=prompt
      weir publish spans.jsonl --otel --set app=shop
      tail -F app.jsonl | weir publish - --lane live --skip-bad
    """
    from schemas import topics
    from streams.ingest.field_map import FieldMap, pairs
    from streams.ingest.files import RowSource
    from streams.ingest.misnamed import LeftOut
    from streams.ingest.publish import Preparer, Publication, Tally
    from streams.ingest.publish import raw as as_it_is
    from streams.ingest.span_messages import SpanPreparer, summary
    from streams.settings import load

    topic = topics.EVENTS if lane == "live" else topics.EVENTS_BULK
    names = tuple(name.strip() for name in metadata.split(",") if name.strip())
    mapped = bool(columns or constants or names)
    _check(otel=otel, raw=raw, mapped=mapped, chosen=bool(columns or names))
    settings = load()
    tally = Tally()
    with RowSource(file, format_) as source:
        if source.format != "jsonl" and (otel or raw):
            raise click.UsageError(f"--{'otel' if otel else 'raw'} reads JSONL, not {source.format}")
        fields = (
            FieldMap(pairs(columns, "--map"), pairs(constants, "--set"), names)
            if mapped or source.columns
            else None
        )
        if fields is not None and source.columns is not None:
            fields.check_columns(source.columns)
        kind = SpanPreparer if otel else Preparer
        preparer = kind(settings.decoder, source.name, fields, tally, _now_ms)
        publication = Publication(
            source, as_it_is if raw else preparer, tally, _report, skip_bad, limit, rate, mappable=not otel,
            finish=preparer.finish, topic=topic, look=None if otel or raw else LeftOut(fields),
        )  # fmt: skip
        try:
            if dry_run:
                _dry_run(publication)
            else:
                _publish(settings, publication)
        finally:  # after Ctrl-C or at a bad row, too
            if isinstance(preparer, SpanPreparer):
                click.echo("\n".join(summary(preparer.spans)))
        _note_unseen(fields, source)


def _check(*, otel: bool, raw: bool, mapped: bool, chosen: bool) -> None:
    if raw and (otel or mapped):
        raise click.UsageError("--raw sends lines as they are: leave out --otel, --map, --set and --metadata")
    if otel and chosen:
        raise click.UsageError("--otel takes the fields from the spans: leave out --map and --metadata")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _report(problem: str) -> None:
    say(problem, err=True)


def _publish(settings: "Settings", publication: "Publication") -> None:
    from aiokafka.errors import KafkaError

    from streams.errors import ServerError, UserError
    from streams.ingest.publish import BadRowError
    from streams.terminal.interrupt import orderly

    tally = publication.tally
    started = time.monotonic()
    try:
        with orderly():
            asyncio.run(_send(settings, publication))
    except BadRowError as error:
        advice = "mend the row and publish the file again, or add --skip-bad"
        raise UserError(f"{error}\n{_so_far(tally)} before it, none after; {advice}") from None
    except UserError as error:
        raise UserError(f"{error}\n{_so_far(tally)} before that") from None
    except KafkaError as error:
        raise ServerError(
            f"the broker stopped taking events ({type(error).__name__}): {_so_far(tally)}; "
            "publish the file again, nothing counts twice"
        ) from None
    except KeyboardInterrupt:
        click.echo(f"interrupted: {_so_far(tally)}", err=True)
        raise
    seconds = time.monotonic() - started
    done = counted(tally.published, "event")
    click.echo(f"{done} published to {publication.topic} in {seconds:.1f} s{_aside(tally)}")


def _so_far(tally: "Tally") -> str:
    unknown = tally.handed_over - tally.published
    return f"{counted(tally.published, 'event')} published" + (
        f", {unknown:,} more may be" if unknown else ""
    )


def _aside(tally: "Tally") -> str:
    parts = []
    if tally.bad:
        parts.append(f"{counted(tally.bad, 'bad row')} skipped")
    return "".join(f"; {part}" for part in parts)


async def _send(settings: "Settings", publication: "Publication") -> None:
    from streams.kafka.clients import BrokerError, producing
    from streams.kafka.topics import missing_topics
    from streams.terminal.progress import Progress

    if publication.topic in await missing_topics(settings):
        raise BrokerError(
            f"{settings.kafka} has no topic {publication.topic}: create the topics with `weir topics`"
        )
    source = publication.source

    def share() -> float | None:
        if publication.limit is not None:
            return publication.tally.published / publication.limit
        return source.position / source.size if source.size else None

    progress = Progress("events published", lambda: publication.tally.published, share)
    async with producing(settings) as producer:
        try:
            await publication.run(producer, progress)
        finally:
            progress.clear()


def _dry_run(publication: "Publication") -> None:
    from streams.errors import UserError
    from streams.ingest.publish import BadRowError

    tally = publication.tally
    try:
        asyncio.run(_count(publication))
    except BadRowError as error:
        good = counted(tally.prepared, "good event")
        raise UserError(f"{error}\n{good} before it; nothing was sent") from None
    would = counted(tally.prepared, "event")
    click.echo(f"{would} would be published to {publication.topic}{_aside(tally)}; nothing was sent")
    for kind, count in sorted(tally.kinds.items()):
        click.echo(f"  {kind + 's':12} {count:,}")
    if tally.apps:
        more = len(tally.apps) - SHOWN_APPS
        apps = ", ".join(map(plain, sorted(tally.apps)[:SHOWN_APPS]))
        click.echo(f"  {'apps':12} {apps}" + (f" and {more:,} more" if more > 0 else ""))
    if tally.generated_ids:
        click.echo(f"  {'ids made':12} {tally.generated_ids:,} (<file>-<line>-<hash of the content>)")


async def _count(publication: "Publication") -> None:
    async for _ in publication.batches():
        pass


def _note_unseen(fields: "FieldMap | None", source: "RowSource") -> None:
    for column in sorted(fields.unseen) if fields else []:
        say(f"note: no row of {source.name} has {column!r}", err=True)
