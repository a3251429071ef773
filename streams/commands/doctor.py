"""`weir doctor`."""

import click

from streams.terminal import Command, plain

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
FAILED = 1


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
    from streams.diagnosis import diagnose

    findings = []
    for finding in diagnose():
        findings.append(finding)
        if as_json:
            continue
        label = click.style(f"{finding.status.upper():4}", fg=COLOURS[finding.status])
        first, *more = finding.detail.splitlines() or [""]
        click.echo(f"{label}  {finding.check:9}  {plain(first)}")
        for line in more:
            click.echo(f"{'':17}{plain(line)}")
        if finding.advice:
            click.echo(f"{'':17}→ {finding.advice}")
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(findings)))
    if any(finding.status == "fail" for finding in findings):
        raise click.exceptions.Exit(FAILED)
