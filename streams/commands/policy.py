"""`weir policy`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.commands.policy_changes import log, restore
from streams.commands.policy_propose import propose
from streams.terminal.command import Command, columns, counted, json_text, plain, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.decisions.explain import Condition, Explained, RuleExplained
    from streams.policy.differences import Difference
    from streams.policy.rules import Policy
    from streams.settings import Settings
    from streams.terminal.table import Cell

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DIFFERENT = 1
"""Exit status of `diff --exit-code` when the policies differ."""

LONGEST = 60
"""Characters that are shown of a field of the event."""


@click.group()
def command() -> None:
    """Check a policy file, compare two, see what a decision rested on, undo what reviews changed.

    \b
    Example:
      weir policy check policy.yaml
      weir policy diff policy.yaml draft.yaml
      weir policy explain e-1042 --app shop
      weir policy restore injection-block
      weir policy propose injection-block --precision 0.95
    """


command.add_command(restore)
command.add_command(log)
command.add_command(propose)


@command.command("check", cls=Command)
@click.argument("file", type=FILE)
def check(file: Path) -> None:
    """Say whether FILE is a policy for the detectors that run here; tells every mistake with its line."""
    from streams.settings import load

    (policy,) = _loaded(load(), file)
    modes = [rule.mode for rule in policy.rules]
    number = ", ".join(f"{modes.count(mode):,} {mode}" for mode in dict.fromkeys(modes))
    say(f"{file}: {policy.name} {policy.version} ({policy.hash}), {counted(len(modes), 'rule')}: {number}")


@command.command("diff", cls=Command)
@click.argument("before", type=FILE)
@click.argument("after", type=FILE)
@click.option("--exit-code", is_flag=True, help=f"Exit {DIFFERENT} if they differ.")
@click.option("--json", "as_json", is_flag=True, help="The differences as JSON.")
def diff(before: Path, after: Path, exit_code: bool, as_json: bool) -> None:
    """Show what differs in meaning between the policies BEFORE and AFTER; comments do not count."""
    from streams.policy.differences import differences
    from streams.settings import load

    found = differences(*_loaded(load(), before, after))
    if as_json:
        click.echo(_json(found))
    else:
        for each in found:
            say(_described(each))
        if not found:
            click.echo("no difference in meaning")
    if found and exit_code:
        raise click.exceptions.Exit(DIFFERENT)


@command.command("explain", cls=Command)
@click.argument("event_id")
@click.option("--app", default="", help="The app of the event, where several have one of this id.")
@click.option("--policy", type=FILE, help="Explain by this policy file; default: that of WEIR_POLICY.")
@click.option("--all", "every", is_flag=True, help="Also the rules that did not hit.")
@click.option("--json", "as_json", is_flag=True, help="All rules as JSON.")
def explain(event_id: str, app: str, policy: Path | None, every: bool, as_json: bool) -> None:
    """Show what the decision on a stored event rested on: rules, thresholds and scores. No text is shown."""
    from streams.decisions.explain import explain as explained
    from streams.settings import load
    from streams.store.client import make_store

    settings = load()
    store = make_store(settings)
    try:
        found = explained(event_id, app, policy or settings.policy, settings, store)
    finally:
        store.close()
    if as_json:
        click.echo(_json(found))
    else:
        _print(found, every)


def _loaded(settings: "Settings", *files: Path) -> "list[Policy]":
    from streams.decisions.scoring import make_runner, owners
    from streams.policy.file import load

    runner = make_runner(settings)
    try:
        policies = [load(file, owners(runner), runner.ranges) for file in files]
        for policy in policies:
            policy.compile(runner.metrics, runner.counted)
        return policies
    finally:
        runner.close()


def _json(found: Any) -> str:
    import msgspec

    return json_text(msgspec.json.format(msgspec.json.encode(found)).decode())


def _described(each: "Difference") -> str:
    match each.what:
        case "added":
            return f"+ {each.rule}: {each.after}"
        case "removed":
            return f"- {each.rule}: {each.before}"
        case "order":
            return f"~ order of the rules: {each.before} → {each.after}"
        case _:
            name = f"{each.rule}: " if each.rule else ""
            return f"~ {name}{each.key}: {each.before or 'none'} → {each.after or 'none'}"


def _print(found: "Explained", every: bool) -> None:
    from streams.terminal.messages import coloured
    from streams.terminal.table import Cell, aligned

    lines = [
        [Cell("event"), Cell(f"{found.event_id} of {found.app}")],
        [Cell("action"), coloured(found.action)],
        [Cell("verdict"), coloured(found.verdict)],
        [Cell("policy"), Cell(f"{found.policy_version} ({found.policy_hash})")],
        [Cell("detectors"), Cell(found.detectors_hash)],
    ]
    if found.failed:
        lines.append([Cell("failed"), Cell(", ".join(found.failed), {"fg": "red"})])
    if found.degraded:
        lines.append([Cell("degraded"), Cell(", ".join(found.degraded))])
    click.echo("\n".join(aligned(lines, room=columns())))
    click.echo()
    rules = [rule for rule in found.rules if every or rule.hit or rule.hit_then]
    rows = [row for rule in rules for row in _rows(rule)]
    click.echo("\n".join(aligned(rows, room=columns())) if rows else "no rule hit")
    for note in _notes(found):
        say(f"note: {note}", err=True)


def _rows(rule: "RuleExplained") -> "Iterator[Sequence[Cell]]":
    from streams.terminal.table import Cell

    result = "hit by failure" if rule.by_failure else "hit" if rule.hit else "miss"
    mode = "" if rule.mode == "enforce" else f", {rule.mode}"
    mode += " since reviews demoted it" if rule.demoted_at else ""
    yield [Cell(result, {"bold": True}), Cell(rule.rule), Cell(f"→ {rule.action}{mode}")]
    for each in rule.conditions:
        exception = "unless " if each.exception else ""
        yield [Cell(f"  {_truth(each)}"), Cell(f"  {exception}{each.condition}"), Cell(_value(each))]


def _truth(condition: "Condition") -> str:
    return {True: "yes", False: "no", None: "unknown"}[condition.holds]


def _value(condition: "Condition") -> str:
    value = condition.value
    if isinstance(value, float):
        return f"{value:g}"
    if value is None:
        return "not known" if condition.holds is None else "none"
    shown = plain(value) or '""'
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _notes(found: "Explained") -> "Iterator[str]":
    from streams.terminal.messages import moment

    if found.policy != found.policy_hash:
        by = found.policy_hash or "another"
        yield f"the rules here are those of {found.policy}, the decision was made by {by}"
    if found.detectors != found.detectors_hash:
        yield "the detectors here are not those that scored the event"
    if gone := sorted(set(found.rules_then) - {rule.rule for rule in found.rules}):
        yield f"rules in the decision that this policy does not have: {', '.join(gone)}"
    for rule in found.rules:
        if rule.demoted_at:
            yield (
                f"{rule.rule} is in shadow since {moment(rule.demoted_at)}: {plain(rule.demoted_because)}; "
                f"`weir policy restore {rule.rule}` puts it back in force"
            )
    if found.answered:
        yield f"a reviewer made it {found.answered}"
    if found.replayed != found.action:
        yield f"by this policy and the stored scores it is {found.replayed}, then it was {found.action}"
