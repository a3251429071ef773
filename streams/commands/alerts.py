"""`weir alerts`."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from streams.terminal.command import Command, columns, counted, say

if TYPE_CHECKING:
    from schemas.alerts import AlertAction

_DURATION = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_ID = click.argument("alert_id", metavar="ID")
_WHO = click.option("--who", metavar="NAME", help="Who does it; default: your user name here.")
_COMMENT = click.option("--comment", default="", metavar="TEXT", help="Why; everybody who is told reads it.")


@click.group()
def command() -> None:
    """See what is wrong now and was lately, one alert for one cause, and say that somebody deals with it.

    Alerts are those that notify keeps, of the last 30 days. What is done about one goes to llm.alert-actions,
    where it stays with who did it and when. The first digits of an ID are enough.

    \b
    Example:
      weir alerts list
      weir alerts show 3f2a9c0d
      weir alerts ack 3f2a9c0d --comment "rolling back the prompt"
      weir alerts silence 3f2a9c0d --for 4h
    """


@command.command("list", cls=Command)
@click.option("--all", "every", is_flag=True, help="Those that are resolved, too.")
@click.option("--app", help="Only of this app.")
@click.option("--rule", help="Only of this rule: of the policy, drift, dead_letters, …")
@click.option("--json", is_flag=True, help="One JSON object per line.")
def list_(every: bool, app: str | None, rule: str | None, json: bool) -> None:
    """List alerts, the newest last."""
    from schemas.codec import encode
    from streams.alerts.current import read
    from streams.settings import load
    from streams.terminal.alerts import table

    known = asyncio.run(read(load()))
    wanted = [x for x in known if app in (None, x.app) and rule in (None, x.rule)]
    found = [each for each in wanted if every or each.state != "resolved"]
    for each in found if json else ():
        click.echo(encode(each).decode())
    if found and not json:
        click.echo(table(found, columns()))
    note = f"{counted(len(found), 'alert')}"
    if not known:
        note += "; notify, which `weir up` starts where WEIR_ROUTES is set, kept none in the last 30 days"
    elif len(found) < len(wanted):
        note += f", {len(wanted) - len(found):,} resolved: --all shows them"
    click.secho(note, err=True, dim=True)


@command.command("show", cls=Command)
@_ID
@click.option("--json", is_flag=True, help="As JSON.")
def show(alert_id: str, json: bool) -> None:
    """Show an alert with its parts."""
    from schemas.codec import encode
    from streams.alerts.current import named, read
    from streams.alerts.texts import headline, lines
    from streams.settings import load

    found = named(asyncio.run(read(load())), alert_id)
    click.echo(encode(found).decode() if json else "\n".join([headline(found), *lines(found)]))


@command.command("ack", cls=Command)
@_ID
@_WHO
@_COMMENT
def ack(alert_id: str, who: str | None, comment: str) -> None:
    """Say that somebody deals with it: nobody is told again until it is over or gets worse."""
    from streams.alerts.actions import acknowledge

    now_ms = time.time_ns() // 1_000_000
    _act(alert_id, lambda id_: acknowledge(id_, _name(who), comment, now_ms=now_ms))


@command.command("silence", cls=Command)
@_ID
@click.option("--for", "how_long", metavar="TIME", help="90s, 15m, 2h or 7d.")
@click.option("--lift", is_flag=True, help="End a silence.")
@_WHO
@_COMMENT
def silence(alert_id: str, how_long: str | None, lift: bool, who: str | None, comment: str) -> None:
    """Tell nobody of it for a while, but that it is over."""
    from streams.alerts import actions

    now_ms = time.time_ns() // 1_000_000
    until = 0 if lift else now_ms + _duration(how_long)
    _act(alert_id, lambda id_: actions.silence(id_, _name(who), until, comment, now_ms=now_ms))


@command.command("resolve", cls=Command)
@_ID
@_WHO
@_COMMENT
def resolve(alert_id: str, who: str | None, comment: str) -> None:
    """Say that it is over. What comes within WEIR_ALERT_COOLDOWN_S opens it again."""
    from streams.alerts import actions

    now_ms = time.time_ns() // 1_000_000
    _act(alert_id, lambda id_: actions.resolve(id_, _name(who), comment, now_ms=now_ms))


def _act(alert_id: str, make: Callable[[str], "AlertAction"]) -> None:
    from schemas.alerts import AlertChange
    from streams.alerts.actions import publish
    from streams.alerts.current import named, read
    from streams.errors import UserError
    from streams.kafka.clients import producing
    from streams.settings import load

    settings = load()

    async def act() -> tuple[AlertChange, "AlertAction"]:
        found = named(await read(settings), alert_id)
        if found.state == "resolved":
            raise UserError(f"{found.alert_id} is resolved already")
        action = make(found.alert_id)
        async with producing(settings) as producer:
            await publish(action, producer)
        return found, action

    found, action = asyncio.run(act())
    say(f"{action.action}, by {action.who}: {found.title} ({found.app or 'several apps'}, {found.alert_id})")


def _duration(text: str | None) -> int:
    match = _DURATION.fullmatch(text or "")
    if match is None:
        raise click.UsageError("--for says for how long: 90s, 15m, 4h or 7d; --lift ends a silence")
    return int(match[1]) * _UNITS[match[2]]


def _name(who: str | None) -> str:
    from streams.terminal.command import user_name

    return who if who is not None else user_name()
