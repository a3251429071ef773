"""`weir dlq`."""

import asyncio
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from streams.terminal.command import Command, columns, counted, plain
from streams.terminal.progress import counting

if TYPE_CHECKING:
    from schemas.events import DeadLetter
    from streams.kafka.dlq import Letters
    from streams.kafka.republish import Tally
    from streams.settings import Settings

SHOWN = 10
"""Letters that could not be published again which are named one by one."""

_IDS = click.argument("ids", nargs=-1, metavar="[ID]...")


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--since", metavar="WHEN", help="Only from then on: 90s, 15m, 2h, 7d, or RFC 3339."),
        click.option("--app", help="Only of this app."),
        click.option("--reason", help="Only for this reason."),
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """See what was refused, publish it again after a mend, or mark it as dealt with.

    Dead letters are read from llm.dlq, which keeps them for 14 days. What was done about one is a further
    record there. Reading takes part in no consumer group and disturbs nobody.

    \b
    Example:
      weir dlq list --since 2h
      weir dlq show 3f2a9c0d11e4
      weir dlq republish --reason timestamp_too_old
      weir dlq drop --all
    """


@command.command("list", cls=Command)
@_choosing
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N", help="The newest N."
)
@click.option("--all", "handled", is_flag=True, help="Those that were republished or dropped, too.")
@click.option("--json", is_flag=True, help="One JSON object per line.")
def list_(
    reason: str | None, app: str | None, since: str | None, limit: int, handled: bool, json: bool
) -> None:
    """List dead letters, the newest last. No text of a message is shown.

    MORE: so many further messages of a flood that the letter stands for.
    """
    from streams.kafka.dlq import messages
    from streams.settings import load
    from streams.terminal.dead_letters import as_json, table

    letters = asyncio.run(_read(load()))
    found = letters.chosen(reason=reason, app=app, since_ms=_moment(since), handled=handled)
    shown = found[-limit:]
    if json:
        for letter in shown:
            click.echo(as_json(letter))
    elif shown:
        click.echo(table(shown, columns()))
    note = f"{counted(len(found), 'dead letter')} for {counted(messages(found), 'message')}"
    more = f", the newest {len(shown):,} are shown: --limit N shows more" if len(shown) < len(found) else ""
    click.secho(note + more, err=True, dim=True)


@command.command("show", cls=Command)
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option(
    "--payload", is_flag=True, help="Also the payload that was kept, which may hold what a user wrote."
)
@click.option(
    "--json", is_flag=True, help="One JSON object per line, as `weir dlq republish --file` reads it."
)
def show(ids: tuple[str, ...], payload: bool, json: bool) -> None:
    """Show where a message was and why it was refused. The first digits of an ID are enough."""
    from streams.settings import load
    from streams.terminal.dead_letters import as_json, described

    settings = load()
    letters = _named(asyncio.run(_read(settings)), ids)
    kept = asyncio.run(_payloads(settings, letters)) if payload else {}
    for letter in letters:
        text = kept.get(letter.dead_letter_id)
        if json:
            click.echo(as_json(letter, text))
        else:
            click.echo("\n".join(described(letter, text, payload)) + "\n")


@command.command("republish", cls=Command)
@_IDS
@_choosing
@click.option("--all", "every", is_flag=True, help="All that are open.")
@click.option("--file", "file", type=click.File("rb"), help="Publish the mended payloads in FILE instead.")
@click.option("--again", is_flag=True, help="Those that were republished or dropped before, too.")
@click.option("--unchecked", is_flag=True, help="Also what would be refused again under the settings here.")
def republish(
    ids: tuple[str, ...],
    reason: str | None,
    app: str | None,
    since: str | None,
    every: bool,
    file: Any,
    again: bool,
    unchecked: bool,
) -> None:
    """Publish messages to their topic again, after what refused them was mended.

    A payload that was not kept whole, and the further messages of a flood, are read from where they were,
    as long as that topic keeps them. Once republished, a letter is not published a second time without
    --again. FILE has a JSON object per line with `dead_letter_id` and `payload`, the mended one, as a text or
    as an object; `weir dlq show ID --payload --json` prints such lines. Exits 1 when something is left.
    """
    from streams.settings import load

    settings = load()
    letters = asyncio.run(_read(settings))
    mended = _mended(letters, file) if file is not None else {}
    chosen = _chosen(letters, (*ids, *mended), reason, app, since, every)
    open_ = [letter for letter in chosen if again or not letter.state]
    if len(open_) < len(chosen):
        done = counted(len(chosen) - len(open_), "dead letter")
        click.secho(f"{done} republished or dropped before: --again publishes them too", err=True)
    tally = asyncio.run(_republish(settings, open_, mended, not unchecked))
    where = f" to {', '.join(sorted(tally.topics))}" if tally.topics else ""
    sent = counted(tally.messages, "message")
    click.echo(f"{counted(tally.letters, 'dead letter')} republished{where} ({sent})")
    if _left(tally):
        sys.exit(1)


@command.command("drop", cls=Command)
@_IDS
@_choosing
@click.option("--all", "every", is_flag=True, help="All that are open.")
def drop(ids: tuple[str, ...], reason: str | None, app: str | None, since: str | None, every: bool) -> None:
    """Mark dead letters as dealt with: `weir dlq list` leaves them out. Nothing is deleted."""
    from streams.settings import load

    settings = load()
    chosen = _chosen(asyncio.run(_read(settings)), ids, reason, app, since, every)
    open_ = [letter for letter in chosen if not letter.state]
    asyncio.run(_drop(settings, open_))
    click.echo(f"{counted(len(open_), 'dead letter')} dropped")


async def _read(settings: "Settings") -> "Letters":
    from schemas import topics
    from streams.kafka import dlq
    from streams.kafka.clients import BrokerError
    from streams.kafka.topics import missing_topics

    if topics.DEAD_LETTERS in await missing_topics(settings):
        raise BrokerError(
            f"{settings.kafka} has no topic {topics.DEAD_LETTERS}: create the topics with `weir topics`"
        )
    with counting("dead letters read") as seen:
        letters = await dlq.read(settings, seen)
    if letters.unreadable:
        click.secho(
            f"{counted(letters.unreadable, 'record')} of {topics.DEAD_LETTERS} not readable", err=True
        )
    return letters


async def _payloads(settings: "Settings", letters: "list[DeadLetter]") -> dict[str, bytes]:
    from streams.kafka import dlq

    with counting("dead letters read") as seen:
        ids = {letter.dead_letter_id for letter in letters}
        return {id_: payload async for id_, payload, _ in dlq.payloads(settings, ids, seen)}


async def _republish(
    settings: "Settings", letters: "list[DeadLetter]", mended: dict[str, bytes], checked: bool
) -> "Tally":
    from streams.kafka import dlq
    from streams.kafka.clients import producing
    from streams.kafka.republish import Republisher, reading_again

    left = {letter.dead_letter_id: letter for letter in letters}
    async with producing(settings) as producer, reading_again(settings) as source:
        republisher = Republisher(settings, producer, checked=checked)
        # Mended ones first: what was kept of them is not to be looked for any more.
        for id_ in mended.keys() & left.keys():
            await republisher.publish(left.pop(id_), mended[id_], None)
        with counting("dead letters read") as seen:
            async for id_, payload, whole in dlq.payloads(settings, set(left), seen):
                if whole:
                    letter = left.pop(id_)
                    await republisher.publish(letter, payload, source if letter.repeats else None)
        # Their payloads were cut: those are read again from where the messages were.
        for letter in left.values():
            await republisher.publish(letter, None, source)
        await republisher.flush()
        return republisher.tally


async def _drop(settings: "Settings", letters: "list[DeadLetter]") -> None:
    from schemas import topics
    from streams.kafka import dlq
    from streams.kafka.clients import producing

    async with producing(settings) as producer:
        await producer.send(topics.DEAD_LETTERS, dlq.marked(letters, dlq.DROPPED))


def _left(tally: "Tally") -> bool:
    """Tell what could not be published again; return whether there is any."""
    from streams.terminal.dead_letters import ID

    for id_, problem in list(tally.refused.items())[:SHOWN]:
        click.echo(f"{id_[:ID]} would be refused again: {problem}", err=True)
    if len(tally.refused) > SHOWN:
        click.echo(f"and {len(tally.refused) - SHOWN:,} more would be refused again", err=True)
    if tally.refused:
        click.echo("mend the settings, or the payloads (--file), or add --unchecked", err=True)
    for id_ in tally.gone[:SHOWN]:
        click.echo(f"{id_[:ID]} was not kept whole, and its topic no longer has it", err=True)
    if len(tally.gone) > SHOWN:
        click.echo(f"and {len(tally.gone) - SHOWN:,} more", err=True)
    if tally.lost:
        click.echo(f"{counted(tally.lost, 'further message')} of a flood not published", err=True)
    return bool(tally.refused or tally.gone or tally.lost)


def _named(letters: "Letters", ids: Iterable[str]) -> "list[DeadLetter]":
    from streams.errors import UserError

    named = []
    for prefix in ids:
        found = letters.find(prefix.lower())
        if not found:
            raise UserError(f"no dead letter {plain(prefix)!r}: `weir dlq list --all` lists them")
        if len(found) > 1:
            raise UserError(f"{len(found):,} dead letters begin with {plain(prefix)!r}: give more digits")
        named += found
    return named


def _mended(letters: "Letters", file: Iterable[bytes]) -> dict[str, bytes]:
    from streams.kafka.republish import mended

    try:
        payloads = mended(file)
    except ValueError as error:
        raise click.UsageError(f"--file: {error}") from None
    found = _named(letters, payloads)
    return {letter.dead_letter_id: payload for letter, payload in zip(found, payloads.values(), strict=True)}


def _chosen(
    letters: "Letters",
    ids: tuple[str, ...],
    reason: str | None,
    app: str | None,
    since: str | None,
    every: bool,
) -> "list[DeadLetter]":
    if ids:
        return _named(letters, ids)
    if not (every or reason or app or since):
        raise click.UsageError("which ones? name IDs, --reason, --app, --since or --all")
    return letters.chosen(reason=reason, app=app, since_ms=_moment(since), handled=True)


def _moment(since: str | None) -> int:
    from streams.kafka.dlq import moment_ms

    try:
        return moment_ms(since) if since else 0
    except ValueError:
        raise click.UsageError(
            f"--since {since!r}: write 90s, 15m, 2h, 7d, or 2030-01-31T12:00:00Z"
        ) from None
