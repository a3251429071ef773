"""`weir policy restore` and `weir policy log`: what reviews changed, and how it is undone."""

import asyncio
import time
from typing import TYPE_CHECKING

import click

from streams.terminal.command import Command, columns, plain, say, user_name

if TYPE_CHECKING:
    from streams.policy.changes import Demotions
    from streams.settings import Settings

SHOWN = 50


@click.command("restore", cls=Command)
@click.argument("rule", required=False)
@click.option("--comment", default="", metavar="TEXT", help="Why; kept in the log.")
def restore(rule: str | None, comment: str) -> None:
    """Put RULE back in force, which reviews sent to shadow; without RULE, list those.

    Guards and gates take it up at once. Only reviews that come from then on can send it to shadow again.
    """
    from streams.settings import load

    settings = load()
    standing = asyncio.run(_restore(settings, rule, comment))
    if rule:
        say(f"{rule} is in force again; it was in shadow since {_why(standing, rule)}")
        return
    for name in standing.of:
        say(f"{name}: in shadow since {_why(standing, name)}")
    if not standing.of:
        say("no rule is in shadow because of reviews")


@click.command("log", cls=Command)
@click.option("--rule", default="", help="Only changes of this rule.")
@click.option("--json", "as_json", is_flag=True, help="As JSON lines, the newest first.")
def log(rule: str, as_json: bool) -> None:
    """Show what came into force, was refused, sent to shadow and put back: when, by whom and why."""
    from streams.settings import load
    from streams.store.client import make_store
    from streams.store.policy_changes import changes
    from streams.terminal.command import json_text
    from streams.terminal.results import render

    store = make_store(load())
    try:
        found = changes(store, rule, SHOWN)
    finally:
        store.close()
    if as_json:
        import msgspec

        for each in found:
            click.echo(json_text(msgspec.json.encode(each).decode()))
        return
    head = ("time", "what", "by", "rule", "policy", "why")
    rows = [
        (
            *(each[name] for name in ("timestamp", "what", "by", "rule")),
            f"{each['policy_version']} {each['policy_hash']}".strip(),
            plain((each["reason"].splitlines() or [""])[0]),
        )
        for each in found
    ]
    click.echo("".join(render("table", head, rows, columns())) if rows else "nothing is in the log yet")


async def _restore(settings: "Settings", rule: str | None, comment: str) -> "Demotions":
    from schemas import codec, topics
    from streams.decisions.feedback import cleaned
    from streams.decisions.policy_changes import demotions
    from streams.errors import UserError, did_you_mean
    from streams.kafka.clients import producing
    from streams.policy.changes import restored

    standing = await demotions(settings)
    if not rule:
        return standing
    if rule not in standing.of:
        hint = did_you_mean(rule, standing.of)
        there = ", ".join(standing.of) or "none"
        raise UserError(f"{rule!r} is not in shadow because of reviews{hint}; those are: {there}")
    now_ms = time.time_ns() // 1_000_000
    change = restored(standing.of[rule], user_name(), cleaned(comment, settings), now_ms)
    async with producing(settings) as producer:
        await producer.send(topics.POLICY, [(change.key, codec.encode(change))])
    return standing


def _why(standing: "Demotions", rule: str) -> str:
    from streams.terminal.messages import moment

    change = standing.of[rule]
    return f"{moment(change.timestamp)}: {plain(change.reason)}"
