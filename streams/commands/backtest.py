"""`weir backtest`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.terminal.command import Command, columns, json_text, say

if TYPE_CHECKING:
    from streams.policy.backtest_report import Report

FAILED = 3
"""Exit status when there are more new blocks than --max-new-blocks."""
LIVE = "live"


@click.command(cls=Command)
@click.argument("policy", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--since",
    default="7d",
    show_default=True,
    metavar="WHEN",
    help="Only events from then on: 2h, 7d, or RFC 3339.",
)
@click.option("--app", default="", help="Only events of this app.")
@click.option(
    "--against",
    default=LIVE,
    show_default=True,
    metavar="live|FILE",
    help="The policy to compare with: that of WEIR_POLICY, or another file.",
)
@click.option("--any-detectors", is_flag=True, help="Also events that other detectors scored.")
@click.option(
    "--samples", type=click.IntRange(0, 1000), default=5, show_default=True, metavar="N",
    help="Events shown of each kind of change.",
)  # fmt: skip
@click.option("--text", is_flag=True, help="Show the texts of the samples, as they were kept.")
@click.option(
    "--max-new-blocks", metavar="N|P%", help=f"Exit {FAILED} if more events than this would be blocked anew."
)
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Also write the report as an HTML file that needs nothing else.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The whole report as JSON.")
def command(
    policy: Path,
    since: str,
    app: str,
    against: str,
    any_detectors: bool,
    samples: int,
    text: bool,
    max_new_blocks: str | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Replay the draft POLICY on stored scores, and show what it would have changed.

    Both policies judge the same kept scores, so that what differs is due to the policy alone. Nothing is
    sent or written. What cannot be known from what is kept (other detectors, detectors that failed, redacted
    metadata, metrics that nobody scored) is counted and said.

    \b
    Example:
      weir backtest draft.yaml --since 7d
      weir backtest draft.yaml --against policy.yaml --app shop --json
      weir backtest draft.yaml --max-new-blocks 1% --html report.html      # in CI
    """
    from streams.decisions.backtest import Asked, backtest, beyond, limit_share
    from streams.kafka.dlq import moment_ms
    from streams.settings import load
    from streams.store.client import make_store
    from streams.terminal.backtest import lines
    from streams.terminal.progress import counting

    if max_new_blocks is not None:
        limit_share(max_new_blocks)
    try:
        since_ms = moment_ms(since)
    except ValueError:
        raise click.UsageError(f"--since {since!r}: write 2h, 7d, or 2030-01-31T12:00:00Z") from None
    settings = load()
    baseline = settings.policy if against == LIVE else Path(against)
    asked = Asked(
        policy, baseline, since_ms, app, samples,
        live=against == LIVE, any_detectors=any_detectors, text=text,
    )  # fmt: skip
    store = make_store(settings)
    try:
        with counting("events replayed") as note:
            report = backtest(asked, settings, store, note)
    finally:
        store.close()
    if as_json:
        click.echo(_json(report))
    else:
        click.echo("\n".join(lines(report, columns())))
    problem = "" if max_new_blocks is None else beyond(report, max_new_blocks)
    if html is not None:
        _write(html, report, problem)
    if problem:
        say(problem, err=True)
        raise click.exceptions.Exit(FAILED)


def _write(file: Path, report: "Report", problem: str) -> None:
    from streams.desk.backtest_file import page
    from streams.errors import UserError

    try:
        file.write_text(page(report, problem), encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None


def _json(report: "Report") -> str:
    import msgspec

    return json_text(msgspec.json.format(msgspec.json.encode(report.as_json())).decode())
