"""What is shown of two sides: what differs, how surely, and what only one of them has."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from streams.desk import statistics
from streams.desk.asked import Found, Row
from streams.desk.html import Child, Html, el, table
from streams.desk.parts import bdi, changed, dollars, rounded, share, when
from streams.desk.questions.compare import Measured
from streams.desk.statistics import Change, Moments, Sort

MIX: Final = 0.1
"""From here on the mixes of apps differ so much that it is said."""
LEVEL: Final = statistics.LEVEL / 3
"""Of each of three tables: latency, what became of the events, metrics."""
LEFT: Final = 0.5
"""Where less of a change is left within the apps, it is the mix that changed."""
FEW: Final = 8
"""Apps or metrics of one side that are named."""


class Names(NamedTuple):
    """What the two sides are called in headings, and what was asked for where that says more."""

    old: str
    new: str
    asked: tuple[str, str] = ("", "")


class Compared(NamedTuple):
    """A metric on both sides: all of it, and app by app."""

    measured: Measured
    before: statistics.Moments
    after: statistics.Moments
    crude: Change | None
    adjusted: Change | None
    effect: float | None

    @property
    def of_the_mix(self) -> bool:
        """Whether what differs overall does not differ within the apps, or the other way round."""
        if self.crude is None or self.adjusted is None or not self.crude.sure:
            return False
        return self.adjusted.value / self.crude.value < LEFT

    @property
    def missing(self) -> str:
        """Why there is no change."""
        return _missing(self.before.size, self.after.size)

    @property
    def unadjusted(self) -> str:
        """Why there is no adjusted one."""
        both = any(old.size and new.size for old, new in self.measured.strata.values())
        return self.missing if both else "no app on both"


def compared(found: list[Measured]) -> list[Compared]:
    """Return how far the sides differ in each metric, what surely differs first."""
    rates = sum(each.is_rate for each in found)
    # What becomes of events is found as surely whatever else is measured.
    of_rate, of_score = LEVEL / max(1, rates), LEVEL / max(1, len(found) - rates)
    compared = [_one(each, of_rate if each.is_rate else of_score) for each in found]
    return sorted(compared, key=lambda each: (not (each.crude and each.crude.sure), -abs(each.effect or 0.0)))


def _one(measured: Measured, level: float) -> Compared:
    before, after = (statistics.sum_up(each[side] for each in measured.strata.values()) for side in (0, 1))
    sort = measured.sort
    alike = statistics.adjusted(measured.strata.values(), sort)
    return Compared(
        measured, before, after, _change(before, after, sort, level),
        statistics.change(*alike, sort, level) if alike else None,
        statistics.effect(before, after),
    )  # fmt: skip


def _change(before: Moments, after: Moments, sort: Sort, level: float) -> Change | None:
    return statistics.change(statistics.estimate(before, sort), statistics.estimate(after, sort), sort, level)


def one_sided(mix: Mapping[str, tuple[int, int]], measured: Iterable[Measured], names: Names) -> Html | None:
    """Return which apps and metrics only one side has: of those there is nothing to compare."""
    said: list[Child] = []
    if mix and not any(min(counts) for counts in mix.values()):
        said.append("They share no app, so no change can be adjusted for the mix of apps. ")
    for side, name in enumerate((names.old, names.new)):
        apps = [app for app, counts in mix.items() if not counts[1 - side]]
        own = [each.name for each in measured if each.alone == side + 1]
        if parts := [
            f"{what} {', '.join(sorted(found)[:FEW])}" + (", …" if len(found) > FEW else "")
            for what, found in (("apps", apps), ("metrics", own))
            if found
        ]:
            said.append(("Only ", bdi(name), " has the ", bdi(" and the ".join(parts)), ". "))
    return el("p", {"class": "notice", "role": "note"}, said) if said else None


def warning(mix: Mapping[str, tuple[int, int]], found: list[Compared]) -> Html | None:
    """Return that the mixes of apps differ, and what differs for that alone."""
    apart = statistics.mix(mix)
    doubted = [each.measured.name for each in found if each.of_the_mix]
    if apart < MIX and not doubted:
        return None
    both = f"The two have different mixes of apps: {apart:.0%} of the events differ. "
    of_mix = f"What differs by the mix alone, and not so within the apps: {', '.join(doubted)}. "
    return el(
        "p",
        {"class": "notice warning", "role": "note"},
        both if apart >= MIX else "",
        of_mix if doubted else "",
        "Trust the adjusted change, or choose one app.",
    )


def sizes(times: Found, names: Names) -> Html:
    """Return how many events each side has, from when to when, and what they cost."""
    by_side = {row["side"]: row for row in times}
    return table(
        (
            "", "Events", "First", "Last", "Cost $", "Cost $ per 1,000", "Latency ms, median",
            "Latency ms, 99 %",
        ),
        (
            (
                (el("b", None, bdi(name)), el("small", {"class": "said"}, bdi(of)) if of else None),
                row["events"], when(row["first"]), when(row["last"]), dollars(row["cost"]),
                (row["cost"] or 0) / row["events"] * 1000, row["median"], row["slow"],
            )
            for side, (name, of) in enumerate(zip((names.old, names.new), names.asked, strict=True))
            if (row := by_side.get(side))
        ),
        "Both sides",
        times.number,
    )  # fmt: skip


def latencies(found: Found) -> Html:
    """Return what got slower, the surest first, as the mean's change."""
    groups: dict[tuple[str, str], dict[int, Row]] = defaultdict(dict)
    for row in found:
        groups[row["what"], row["value"]][row["side"]] = row
    level = LEVEL / max(1, len(groups))
    changes = {key: _slowed(sides, level) for key, sides in groups.items()}
    ordered = sorted(groups, key=lambda key: _by_slowness(changes[key]))
    return table(
        ("", "Name", "Change of the mean", "Median ms before", "after", "99 % ms before", "after"),
        (
            (
                what.replace("_", " "), bdi(name),
                changed(changes[what, name], "amount", _missing(*_counts(groups[what, name]))),
                *(groups[what, name].get(side, {}).get(q) for q in ("median", "slow") for side in (0, 1)),
            )
            for what, name in ordered
        ),
        "Latency: what got slower, first",
        found.number,
    )  # fmt: skip


def _counts(sides: Mapping[int, Row]) -> tuple[int, int]:
    return sides.get(0, {}).get("n", 0), sides.get(1, {}).get("n", 0)


def _missing(before: int, after: int) -> str:
    """Return why there is no change of so many values to so many."""
    if not before:
        return "only after"
    if not after:
        return "only before"
    return "too few" if min(before, after) < statistics.LEAST else "no ratio to 0"


def _slowed(sides: dict[int, Row], level: float) -> Change | None:
    if len(sides) < 2:
        return None
    before, after = (Moments(row["n"], row["s"], row["q"]) for row in (sides[0], sides[1]))
    return _change(before, after, "amount", level)


def _by_slowness(change: Change | None) -> tuple[bool, float]:
    return (not change.sure, -change.value) if change else (True, 1.0)


def metrics(found: Iterable[Compared], names: Names, sql: int, caption: str) -> Html:
    """Return metrics on both sides, and their changes."""
    return table(
        ("Metric", bdi(names.old), bdi(names.new), "Change", "Adjusted", "Effect", ""),
        (
            (
                each.measured.name,
                _level(each, each.before.mean),
                _level(each, each.after.mean),
                changed(each.crude, each.measured.sort, each.missing, points=each.measured.is_rate),
                changed(each.adjusted, each.measured.sort, each.unadjusted, points=each.measured.is_rate),
                "" if each.effect is None else f"{rounded(each.effect, 2):+.2f}",
                _said(each),
            )
            for each in found
        ),
        caption,
        sql,
    )


def _said(each: Compared) -> Child:
    """Return in words whether a metric differs."""
    if each.of_the_mix:
        return "mix of apps"
    if each.crude and each.crude.sure:
        return "differs"
    return el("span", {"class": "none"}, "not sure" if each.crude else each.missing)


def _level(each: Compared, mean: float) -> str:
    if each.measured.is_rate:
        return f"{mean:.2%}"
    return f"{mean:,.0f}" if abs(mean) >= 100 else f"{mean:.3g}"


def apps(mix: Mapping[str, tuple[int, int]], names: Names, sql: int) -> Html:
    """Return the events of the largest apps on both sides."""
    whole = [sum(each[side] for each in mix.values()) for side in (0, 1)]
    largest = sorted(mix.items(), key=lambda each: -sum(each[1]))[:20]
    return table(
        ("App", bdi(names.old), bdi(names.new)),
        ((bdi(app), share(old, whole[0]), share(new, whole[1])) for app, (old, new) in largest),
        "Mix of apps",
        sql,
    )
