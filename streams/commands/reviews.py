"""`weir reviews`."""

from typing import TYPE_CHECKING

import click

from streams.terminal.command import Command, columns, json_text, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.decisions.review_report import ReviewReport
    from streams.policy.reviews import Share


@click.command(cls=Command)
@click.option(
    "--since",
    default="30d",
    show_default=True,
    metavar="WHEN",
    help="Only events from then on: 2h, 7d, or RFC 3339.",
)
@click.option("--app", default="", help="Only events of this app.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(since: str, app: str, as_json: bool) -> None:
    """Show what reviews say: the precision of each rule, whether reviewers agree, how much is missed.

    \b
    Example:
      weir reviews
      weir reviews --since 7d --app shop --json
    """
    import msgspec

    from streams.decisions.review_report import report
    from streams.kafka.dlq import moment_ms
    from streams.settings import load
    from streams.store.chosen import Chosen
    from streams.store.client import make_store
    from streams.terminal.results import render

    try:
        since_ms = moment_ms(since)
    except ValueError:
        raise click.UsageError(f"--since {since!r}: write 2h, 7d, or 2030-01-31T12:00:00Z") from None
    store = make_store(load())
    try:
        found = report(store, Chosen(since_ms, app))
    finally:
        store.close()
    if as_json:
        click.echo(json_text(msgspec.json.format(msgspec.json.encode(found)).decode()))
        return
    waiting = f"{found.waiting:,} wait for a person"
    say(f"events     {found.events:,}, of which {found.reviewed:,} reviewed; {waiting}")
    for name, line in _lines(found):
        say(f"{name:10} {line}")
    rows = [
        (each.rule, each.hits, _said(each.precision) if each.precision else "not reviewed")
        for each in found.rules
    ]
    if rows:
        click.echo("".join(render("table", ("rule", "hits", "precision, as reviewed"), rows, columns())))


def _lines(found: "ReviewReport") -> "Iterator[tuple[str, str]]":
    """Yield what is known of the decisions, and of the rest why it is not."""
    if found.precision:
        yield "precision", f"{_said(found.precision)} of the decisions that acted were right"
    else:
        yield "precision", "not known: no decision that acted is reviewed"
    alpha = "" if found.alpha is None else f"; Krippendorff's alpha {found.alpha:.2f}"
    if found.agreement:
        yield "agreement", f"{_said(found.agreement)} of the events with two reviewers have one answer{alpha}"
    else:
        yield "agreement", "not known: no event has two reviewers"
    if misses := found.misses:
        about = f"about {misses.estimate:,} ({misses.low:,} to {misses.high:,}) of {misses.allowed:,}"
        yield "missed", f"{_said(misses.share)} of the allowed events that were picked at random: {about}"
    else:
        yield "missed", "not known: no allowed event that was picked at random is reviewed"


def _said(found: "Share") -> str:
    return f"{found.share:.0%} ({found.low:.0%} to {found.high:.0%}, {found.right:,} of {found.of:,})"
