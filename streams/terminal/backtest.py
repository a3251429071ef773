"""A backtest's report for people."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from schemas.fields import USAGE
from streams.policy.backtest_report import Demoted, Report, RuleChange, RuleReport, Sample
from streams.policy.reviews import Share
from streams.terminal.command import counted, plain
from streams.terminal.results import render
from streams.terminal.table import folded

Section = tuple[str, Sequence[str], Sequence[Sequence[Any]]]
"""Title, names of the columns, and rows."""
_CAUSE = ("rule", "app", "before", "after", "events")
SHOWN = 20
"""Lines of a table: JSON has them all."""
_COUNTED = ("prompt_tokens", "completion_tokens")
_FATES: Final[Mapping[Demoted, str]] = {
    "back": "is in shadow, where reviews sent it: the draft changes when it hits,"
    " so with the draft it acts again",
    "stays": "is in shadow, where reviews sent it, and stays there with the draft;"
    " `weir policy restore {rule}` puts it back in force",
    "as_written": "is in shadow in force, where reviews sent it; here it is judged as the files have it",
}


def lines(report: Report, room: int) -> Iterator[str]:
    """Yield the report, line by line, `room` columns wide."""
    for paragraph in summary(report):
        yield folded(plain(paragraph), room)
    for paragraph in notes(report):
        yield folded(plain(f"note: {paragraph}"), room)
    for section in sections(report):
        yield from _table(*section, room)


def sections(report: Report) -> Iterator[Section]:
    """Yield the tables."""
    if not report.events:
        return
    changes = [(each.app, each.before, each.after, each.events) for each in report.changes]
    yield "decisions that change", ("app", "before", "after", "events"), changes
    yield "because of", _CAUSE, list(map(_cause, report.causes))
    yield "rules in shadow, were they enforced", _CAUSE, list(map(_cause, report.shadow))
    header = ("rule", "mode", "before", "after", "gained", "lost", "precision before", "precision after")
    moved = [rule for rule in report.rules if _is_notable(rule)]
    yield "rules whose hits change, or that were reviewed", header, list(map(_rule, moved))
    columns = ("before", "after", "app", "event", "rules after", "scores", "text")
    width = len(columns) if any(each.text for each in report.samples) else len(columns) - 1
    yield "samples", columns[:width], [_sample(each)[:width] for each in report.samples]


def summary(report: Report) -> Iterator[str]:
    """Yield what was replayed and what changes, in a few lines."""
    for label, policy in (("draft", report.draft), ("against", report.baseline)):
        yield f"{label:8} {policy['source']}: {policy['name']} {policy['version']} ({policy['hash']})"
    if not report.events:
        since = _time(report.since_ms)
        yield f"events   none since {since}: is the archive running, is --app or --since right?"
        return
    for said in fates(report.demoted):
        yield f"reviews  {said}"
    yield (
        f"events   {report.events:,} from {_time(report.first_ms)} to {_time(report.last_ms)}"
        f" (UTC), {report.changed:,} decisions change ({report.changed / report.events:.2%})"
    )
    yield f"blocks   {report.new_blocks:,} new ({report.new_blocks / report.events:.2%}), " + _totals(report)
    if per_day := report.alerts_per_day():
        yield f"alerts   {per_day[0]:,.1f} a day before, {per_day[1]:,.1f} after"
    else:
        alerts = f"{report.alerts_before:,} before, {report.alerts_after:,} after"
        yield f"alerts   {alerts}; the events span less than an hour, too little for a rate"
    if report.reviewed:
        yield (
            f"reviewed {counted(report.reviewed, 'event')}:"
            f" precision {_share(report.precision_before)} before,"
            f" {_share(report.precision_after)} after; recall {_share(report.recall_before)} before,"
            f" {_share(report.recall_after)} after (95 % intervals; reviewed events are no random sample)"
        )


def _totals(report: Report) -> str:
    before, after = report.actions_before, report.actions_after
    return ", ".join(f"{name} {before[name]:,} → {after[name]:,}" for name in before)


def fates(demoted: Mapping[str, Demoted]) -> Iterator[str]:
    """Yield what becomes of the rules that reviews sent to shadow."""
    for rule, fate in demoted.items():
        yield f"{rule} {_FATES[fate].format(rule=rule)}"


def notes(report: Report) -> Iterator[str]:
    """Yield what the figures do not say."""
    for hash_, events in report.other_detectors.items():
        yield (
            f"{counted(events, 'event')} scored by other detectors ({hash_ or 'unknown'}) left out:"
            " such scores do not compare (--any-detectors takes them)"
        )
    for metric, rules in report.not_scored.items():
        yield f"no event has a score {metric}: what {', '.join(rules)} would have done by it is not known"
    if report.unknown:
        reasons = "; ".join(f"{_reason(name)}: {count:,}" for name, count in report.unknown_because.items())
        unknown = counted(report.unknown, "event")
        yield f"{unknown} whose decision is not certain left out of the counts ({reasons})"
    if report.alike:
        alike = counted(report.alike, "event")
        yield f"{alike} decided alike by rules that are in both, though how is not known: not in the totals"
    if report.failed:
        failed = counted(report.failed, "event")
        yield f"{failed} with detectors that failed, judged by on_failure of each rule"
    if report.degraded:
        degraded = counted(report.degraded, "event")
        yield f"{degraded} not read in full for lack of time, judged by on_degraded"
    others = report.events - report.decided_by_baseline
    if others:
        yield f"{counted(others, 'event')} decided at the time by another policy than the one compared with"
    if report.decided_otherwise:
        yield (
            f"{counted(report.decided_otherwise, 'event')} of {report.decided_by_baseline:,} decided by that"
            " policy come out otherwise in the replay: scores are kept to six digits, the guard has more"
        )
    if report.disputed:
        disputed = counted(report.disputed, "reviewed event")
        yield f"{disputed} on which reviewers disagree left out of precision and recall"


def _reason(name: str) -> str:
    if name.startswith("metadata."):
        return f"{name} was redacted or cut"
    if name in USAGE:
        return f"{name} is not kept with the events"
    if name in _COUNTED:
        return f"{name} may be weir's own count, not the app's"
    return f"{name} was not scored"


def _cause(change: RuleChange) -> tuple[str | int, ...]:
    return (change.rule, change.app, change.before, change.after, change.events)


def _table(title: str, header: Sequence[str], shown: Sequence[Sequence[Any]], room: int) -> Iterator[str]:
    if not shown:
        return
    yield ""
    yield title
    yield from (line.rstrip("\n") for line in render("table", header, shown[:SHOWN], room))
    if len(shown) > SHOWN:
        yield f"and {len(shown) - SHOWN:,} more: --json has them all"


def _sample(sample: Sample) -> tuple[str, ...]:
    scores = " ".join(f"{name}={score:g}" for name, score in sample.scores.items())
    rules = " ".join(sample.rules_after)
    return (sample.before, sample.after, sample.app, sample.event_id, rules, scores, sample.text or "")


def _is_notable(rule: RuleReport) -> bool:
    return bool(
        rule.gained or rule.lost or rule.unknown or rule.precision_before or rule.precision_after
        or rule.mode_before != rule.mode_after
    )  # fmt: skip


def _rule(rule: RuleReport) -> tuple[str | int, ...]:
    mode = (
        rule.mode_after if rule.mode_before == rule.mode_after else f"{rule.mode_before} → {rule.mode_after}"
    )
    counts = (rule.before, rule.after, rule.gained, rule.lost)
    return (rule.rule, mode, *counts, _share(rule.precision_before), _share(rule.precision_after))


def _share(share: Share | None) -> str:
    return f"{share.share:.0%} ({share.low:.0%} to {share.high:.0%}, n={share.of})" if share else "-"


def _time(milliseconds: int) -> str:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M")
