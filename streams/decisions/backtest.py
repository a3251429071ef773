"""Tries a draft of a policy on the scores in the store."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from detectors.registry import fingerprint
from detectors.runner import Runner
from streams.decisions.scoring import make_runner, owners
from streams.decisions.settings import DecisionSettings
from streams.errors import UserError
from streams.policy.backtest import Backtest
from streams.policy.backtest_report import Demoted, Report, Sample
from streams.policy.changes import Demotions
from streams.policy.conditions import comparisons
from streams.policy.file import load
from streams.policy.reviews import Labels
from streams.policy.rule import Rule, digest
from streams.policy.rules import CompiledPolicy, Policy
from streams.store.chosen import Chosen
from streams.store.client import Store
from streams.store.policy_changes import demotions
from streams.store.reviews import REVIEWED, reviews
from streams.store.scored import Detectors, Reader, Scorer, scorers

Note = Callable[[int, int], None]


@dataclass(frozen=True)
class Asked:
    """What to try, and on what."""

    draft: Path
    against: Path
    since_ms: int
    app: str = ""
    samples: int = 5
    live: bool = False
    """`against` is the policy in force: rules that reviews sent to shadow stay there, in the draft too."""
    any_detectors: bool = False
    text: bool = False


def backtest(asked: Asked, settings: DecisionSettings, store: Store, note: Note) -> Report:
    """Replay the events; `note` is told how many of how many are done.

    Raises the errors of `make_runner` and `policy.file.load`, and `StoreError`.
    """
    runner = make_runner(settings)
    try:
        standing = demotions(store)
        applied = standing if asked.live else Demotions()
        written = [load(path, owners(runner), runner.ranges) for path in (asked.draft, asked.against)]
        draft, baseline = (
            applied.applied(policy).compile(runner.metrics, runner.counted) for policy in written
        )
        report = _replay(asked, store, runner, draft, baseline, note)
        report.demoted = _demoted(standing, written[0], live=asked.live)
        return report
    finally:
        runner.close()


def _replay(
    asked: Asked, store: Store, runner: Runner, draft: CompiledPolicy, baseline: CompiledPolicy, note: Note
) -> Report:
    comparisons_ = dict.fromkeys((*draft.asks, *baseline.asks))
    metrics = {each.name for each in comparisons_ if each.subject == "metric"}
    found = scorers(store, asked.since_ms, asked.app, metrics)
    replayed = found if asked.any_detectors else found[:1]
    # What these detectors, as they run here, do not give does not apply; of others it is not known.
    own = fingerprint(runner.detectors, runner.models)
    lacking = {each.hash: metrics - each.metrics for each in replayed if each.hash != own}
    not_scored = _everywhere(lacking, replayed)
    partly = {hash_: names - not_scored for hash_, names in lacking.items() if names - not_scored}
    chosen = Chosen(asked.since_ms, asked.app, "" if asked.any_detectors or not found else found[0].hash)
    reader = Reader(
        store,
        comparisons_,
        Detectors(owners(runner), runner.read_closely, runner.counted),
        baseline.policy.hash,
        partly,
        _of_usage(baseline, draft),
    )
    test, total, done = Backtest(draft, baseline, asked.samples), sum(each.events for each in replayed), 0
    for block in reader.blocks(chosen):
        test.add(block)
        done += block.rows.count
        note(done, total)
    said = reviews(store, chosen)
    for block in reader.blocks(chosen, REVIEWED) if said else ():
        keys = [(block.apps.at(row), event_id) for row, event_id in enumerate(block.event_ids)]
        test.review(block, [said.get(key, Labels()) for key in keys])
    report = test.report()
    report.draft, report.baseline = _named(draft, asked.draft), _named(baseline, asked.against)
    report.since_ms, report.detectors = asked.since_ms, chosen.detectors
    report.other_detectors = {each.hash: each.events for each in found[len(replayed) :]}
    report.not_scored = {
        name: sorted({rule.id for policy in (draft, baseline) for rule in policy.rules if _asks(rule, name)})
        for name in sorted(not_scored)
    }
    report.blocking_unscored = [
        rule.id
        for rule in draft.rules
        if (rule.action, rule.mode) == ("block", "enforce") and any(_asks(rule, name) for name in not_scored)
    ]
    if asked.text:
        report.samples = [_with_text(store, sample) for sample in report.samples]
    return report


def _demoted(standing: Demotions, draft: Policy, *, live: bool) -> dict[str, Demoted]:
    """Return what becomes of the rules that reviews sent to shadow, of those that the draft enforces."""
    holding = standing.holding(draft)
    enforced = [rule.id for rule in draft.rules if rule.mode == "enforce" and rule.id in standing.of]
    kept: Demoted = "stays" if live else "as_written"
    return {name: kept if name in holding else "back" for name in enforced}


def _of_usage(baseline: CompiledPolicy, draft: CompiledPolicy) -> list[str]:
    """Return the rules that ask what users had used, and are the same in both.

    Usage is not kept with the events, so how such a rule judged them is only known from their decisions.
    """
    same = {(rule.id, digest(rule)) for rule in draft.rules}
    asking = [rule for rule in baseline.rules if (rule.id, digest(rule)) in same]
    return [
        rule.id
        for rule in asking
        if any(each.subject == "usage" for each in comparisons((*rule.when, *rule.unless)))
    ]


def _everywhere(lacking: dict[str, set[str]], replayed: list[Scorer]) -> set[str]:
    """Return the metrics that none of the events has."""
    if len(lacking) < len(replayed) or not lacking:
        return set()
    return set.intersection(*lacking.values())


def _asks(rule: Rule, metric: str) -> bool:
    return any(each.name == metric for each in comparisons((*rule.when, *rule.unless)))


def _named(policy: CompiledPolicy, path: Path) -> dict[str, str]:
    of = policy.policy
    return {"source": str(path), "name": of.name, "version": of.version, "hash": of.hash}


def _with_text(store: Store, sample: Sample) -> Sample:
    rows = store.query(
        "SELECT text FROM events WHERE app = {app:String} AND event_id = {id:String}",
        {"app": sample.app, "id": sample.event_id},
    ).rows
    return msgspec.structs.replace(sample, text=rows[0][0] if rows else None)


def limit_share(text: str) -> tuple[float, bool]:
    """Read `1%` or `20`: the number, and whether it is a share in percent; `UserError` for others."""
    number, is_share = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= (100 if is_share else 1e15) or (not is_share and not value.is_integer()):
        raise UserError(
            f"{text!r} is no limit: write a share of the events such as 1%, or a number such as 20"
        )
    return value, is_share


def beyond(report: Report, limit: str) -> str:
    """Return why the new blocks are not known to be within `limit`; empty where they are.

    What is not known counts as a new block.
    """
    value, is_share = limit_share(limit)
    if not report.events:
        return "no event was replayed, so nothing is known of new blocks"
    if report.blocking_unscored:
        rules = ", ".join(report.blocking_unscored)
        return f"no event has the scores that {rules} would block by, so new blocks are not known"
    most = report.new_blocks + report.may_be_new_blocks
    if most > (report.events * value / 100 if is_share else value):
        maybe = f", of which {report.may_be_new_blocks:,} may be" if report.may_be_new_blocks else ""
        of = f"{most / report.events:.2%} of {report.events:,} events"
        return f"{most:,} new blocks{maybe} ({of}): the limit is {limit}"
    return ""
