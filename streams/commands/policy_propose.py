"""`weir policy propose`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.terminal.command import Command, counted, json_text, say

if TYPE_CHECKING:
    from streams.decisions.propose import Proposal
    from streams.policy.reviews import Share


@click.command("propose", cls=Command)
@click.argument("rule")
@click.option(
    "--precision", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95, show_default=True,
    metavar="SHARE", help="Of what the rule hits, so much should be right.",
)  # fmt: skip
@click.option("--app", default="", help="From reviews of this app only.")
@click.option(
    "--policy", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The policy that has the rule; default: that of WEIR_POLICY.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def propose(rule: str, precision: float, app: str, policy: Path | None, as_json: bool) -> None:
    """Propose a threshold for RULE from reviews: the lowest with which it would be right that often.

    Where it asks for several scores there is one for each, from the events on which it alone decides. The
    interval is where the threshold would lie had other events of the kind been reviewed. Nothing is
    changed: write it into a draft, and try that with `weir backtest`.
    """
    import msgspec

    from streams.decisions.propose import propose as proposed
    from streams.settings import load
    from streams.store.client import make_store

    settings = load()
    store = make_store(settings)
    try:
        found = proposed(rule, precision, app, policy or settings.policy, settings, store)
    finally:
        store.close()
    if as_json:
        click.echo(json_text(msgspec.json.format(msgspec.json.encode(found)).decode()))
        return
    for each in found:
        _print(each)


def _print(found: "Proposal") -> None:
    decided = counted(found.reviewed, "reviewed event")
    say(f"{found.rule}, by {found.metric}: {decided}, {found.right:,} to be hit")
    if not found.reviewed:
        return
    say(f"now: {found.metric} {found.operator} {found.now:g}: precision {_said(found.precision_now)}")
    if found.threshold is None:
        say(f"no threshold has a precision of {found.wanted:.0%} on them")
        return
    interval = f"{_end(found.low)} to {_end(found.high)}"
    say(f"proposed: {found.metric} >= {found.threshold:g} (95 % of resamples: {interval})")
    say(f"there: precision {_said(found.precision)}, recall {_said(found.recall)} of those reviewed")
    if found.sure is None:
        say(f"with so few reviews none is sure to have {found.wanted:.0%}: review more near the threshold")
    else:
        say(f"sure to have {found.wanted:.0%}, at the low end of the interval: from {found.sure:g} on")


def _end(value: float | None) -> str:
    return "beyond all scores" if value is None else f"{value:g}"


def _said(found: "Share | None") -> str:
    return "unknown" if found is None else f"{found.share:.0%} ({found.low:.0%} to {found.high:.0%})"
