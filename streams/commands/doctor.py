"""`weir doctor`."""

from typing import TYPE_CHECKING

import click

from streams.terminal.command import Command, columns, json_text, plain

if TYPE_CHECKING:
    from streams.doctor import Diagnosis

COLOURS = {"ok": "green", "skip": "blue", "warn": "yellow", "fail": "red"}
FAILED = 1
INDENT = 17
"""Columns before the detail of a finding."""
NARROW = 60
"""On a terminal with fewer columns the lines after the first begin further left."""


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
def command(as_json: bool) -> None:
    """Check settings, detectors, policy, broker, store and the ports of the roles, and say what to do.

    Secrets are never shown. Exits 1 if anything fails; what only warns works, but perhaps not as intended.
    Takes a few seconds when nothing answers.

    \b
    Example:
      weir doctor
      WEIR_KAFKA=kafka:9092 weir doctor --json
    """
    from streams.doctor import diagnose

    findings = []
    for finding in diagnose():
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        import msgspec

        click.echo(json_text(msgspec.json.format(msgspec.json.encode(findings)).decode()))
    if any(finding.status == "fail" for finding in findings):
        raise click.exceptions.Exit(FAILED)


def _show(finding: "Diagnosis") -> None:
    from streams.terminal.table import folded

    room = columns()
    indent = INDENT if room >= NARROW else INDENT // 3
    label = click.style(f"{finding.status.upper():4}", fg=COLOURS[finding.status])
    first, *more = [plain(line) for line in finding.detail.splitlines()] or [""]
    if finding.advice:
        more.append(f"→ {plain(finding.advice)}")
    click.echo(folded(f"{label}  {finding.check:9}  {first}", room, " " * indent))
    for line in more:
        click.echo(folded(" " * indent + line, room, " " * indent))
