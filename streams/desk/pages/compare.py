"""Two prompt versions, models, apps or periods, side by side."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from streams.desk import statistics
from streams.desk.asked import Asked, Found, Row
from streams.desk.filters import Filter
from streams.desk.html import Child, Html, el, table
from streams.desk.layout import page
from streams.desk.parts import bdi, changed, choose_time, field, kept, labelled, select, share
from streams.desk.questions import compare as questions
from streams.desk.questions.compare import PERIOD, Measured, Sides
from streams.desk.statistics import Change, Moments, Sort

MIX: Final = 0.1
"""From here on the mixes of apps differ so much that it is said."""
LEVEL: Final = statistics.LEVEL / 3
"""Of each of three tables: latency, what became of the events, metrics."""
LEFT: Final = 0.5
"""Where less of a change is left within the apps, it is the mix that changed."""


class _Compared(NamedTuple):
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


def compare(asked: Asked, wanted: Filter, sides: Sides, scores: Iterable[str]) -> str:
    """Return the comparison, or what there is to compare."""
    choices = questions.choices(asked, wanted, sides.by)
    sides = _completed(sides, choices)
    content: list[Child] = []
    if sides.by == PERIOD or (sides.old and sides.new and sides.old != sides.new):
        times = questions.times(asked, wanted, sides)
        if halves := _halves(sides, times):
            sides, times = halves, questions.times(asked, wanted, halves)
            content.append(_of_halves(wanted.since))
        content += _compared(asked, wanted, sides, times, sorted(scores))
    else:
        content.append(
            el("p", {"class": "notice"}, "There are no two to compare in this time: choose more time.")
        )
    return page("Compare", "/compare", asked, _form(wanted, sides, choices), _links(wanted, sides), *content)


def _completed(sides: Sides, choices: Found) -> Sides:
    """Return both sides; those of which nothing is said are the two most frequent, the newer one second."""
    frequent = sorted((row["value"] for row in choices[:2]), key=str)
    if sides.by == PERIOD or (sides.old and sides.new) or len(frequent) < 2:
        return sides
    return Sides(sides.by, sides.old or frequent[0], sides.new or frequent[1])


def _halves(sides: Sides, times: Found) -> Sides | None:
    """Return the halves of the time that has events where only one of the two last periods has."""
    if sides.by != PERIOD or sides.new or len(times) != 1 or not (middle := questions.middle(times)):
        return None
    return Sides(PERIOD, "", middle)


def _of_halves(since: str) -> Html:
    said = (
        f"Only one of the last {since} and the {since} before has events: these are the halves of its time."
    )
    return el("p", {"class": "notice", "role": "note"}, said)


def _links(wanted: Filter, sides: Sides) -> Html:
    more = {"by": sides.by, "old": sides.old, "new": sides.new}
    return choose_time(wanted, "/compare", **more)


def _form(wanted: Filter, sides: Sides, choices: Found) -> Html:
    known = [el("option", {"value": row["value"]}) for row in choices]
    both = [
        labelled(name, field(key, value, list="choices"))
        for name, key, value in (("Before", "old", sides.old), ("After", "new", sides.new))
    ]
    begins = labelled("Second begins (UTC)", field("new", sides.new, placeholder=f"{wanted.since} ago"))
    return el(
        "form",
        {"method": "get", "action": "/compare", "class": "filter"},
        kept(wanted, "app", "kind"),
        el("input", {"type": "hidden", "name": "was", "value": sides.by}),
        select("by", questions.BY, sides.by, "What differs"),
        both if sides.by != PERIOD else begins,
        el("datalist", {"id": "choices"}, known),
        labelled("Only app", field("app", wanted.values.get("app", ""))),
        select("kind", ("", "prompt", "completion"), wanted.values.get("kind", "")),
        el("button", {"type": "submit"}, "Compare"),
    )


def _compared(asked: Asked, wanted: Filter, sides: Sides, times: Found, scores: list[str]) -> list[Child]:
    every = questions.one_in(sum(row["events"] for row in times))
    rows = questions.measure(asked, wanted, sides, scores, every)
    names = _names(wanted, sides)
    if len({row["side"] for row in rows}) < 2:
        return [el("p", {"class": "notice"}, "One of the two has no events in this time.")]
    mix = questions.mix(rows)
    found = _measured(questions.measured(rows, scores))
    rates = [each for each in found if _is_rate(each.measured)]
    others = [each for each in found if not _is_rate(each.measured)]
    return [
        _warning(mix, found, names),
        _sizes(times, names),
        _latencies(questions.latencies(asked, wanted, sides)),
        _metrics(rates, names, rows.number, "What became of them"),
        _metrics(others, names, rows.number, "Metrics, what surely differs first"),
        el("p", {"class": "none"}, f"Metrics and mix are of one event in {every}.") if every > 1 else None,
        el(
            "p", {"class": "none"},
            "Of latency, tokens, cost and other amounts the change is a ratio, of all else a difference. "
            "The intervals of a page hold together at 95 %, however often one looks. Adjusted: as if both "
            "sides had the same mix of apps and kinds. Effect: the difference in standard deviations; 0.2 is "
            "small, 0.8 large.",
        ),
        _apps(mix, names, rows.number),
    ]  # fmt: skip


def _names(wanted: Filter, sides: Sides) -> tuple[str, str]:
    if sides.by == PERIOD and sides.new:
        return f"{wanted.since} before {sides.new}", f"{wanted.since} from {sides.new}"
    if sides.by == PERIOD:
        return f"the {wanted.since} before", f"the last {wanted.since}"
    return sides.old, sides.new


def _measured(found: list[Measured]) -> list[_Compared]:
    rates = sum(map(_is_rate, found))
    # What becomes of events is found as surely whatever else is measured.
    of_rate, of_score = LEVEL / max(1, rates), LEVEL / max(1, len(found) - rates)
    compared = [_one(each, of_rate if _is_rate(each) else of_score) for each in found]
    return sorted(compared, key=lambda each: (not (each.crude and each.crude.sure), -abs(each.effect or 0.0)))


def _one(measured: Measured, level: float) -> _Compared:
    before, after = (statistics.sum_up(each[side] for each in measured.strata.values()) for side in (0, 1))
    sort = measured.sort
    alike = statistics.adjusted(measured.strata.values(), sort)
    return _Compared(
        measured, before, after, _change(before, after, sort, level),
        statistics.change(*alike, sort, level) if alike else None,
        statistics.effect(before, after),
    )  # fmt: skip


def _change(before: Moments, after: Moments, sort: Sort, level: float) -> Change | None:
    return statistics.change(statistics.estimate(before, sort), statistics.estimate(after, sort), sort, level)


def _warning(mix: dict[str, tuple[int, int]], found: list[_Compared], names: tuple[str, str]) -> Html | None:
    apart = statistics.mix(mix)
    doubted = [each.measured.name for each in found if each.of_the_mix]
    if apart < MIX and not doubted:
        return None
    said = f"{names[0]} and {names[1]} have different mixes of apps: {apart:.0%} of the events differ. "
    of_mix = f"What differs by the mix alone, and not so within the apps: {', '.join(doubted)}. "
    return el(
        "p",
        {"class": "notice warning", "role": "note"},
        said if apart >= MIX else "",
        of_mix if doubted else "",
        "Trust the adjusted change, or choose one app.",
    )


def _sizes(times: Found, names: tuple[str, str]) -> Html:
    by_side = {row["side"]: row for row in times}
    return table(
        ("", "Events", "Cost $", "Cost $ per 1,000", "Latency ms, median", "Latency ms, 99 %"),
        (
            (
                el("b", None, bdi(name)), row["events"], row["cost"],
                (row["cost"] or 0) / row["events"] * 1000, row["median"], row["slow"],
            )
            for side, name in enumerate(names)
            if (row := by_side.get(side))
        ),
        "Both sides",
        times.number,
    )  # fmt: skip


def _latencies(found: Found) -> Html:
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
                changed(changes[what, name], "amount"),
                *(groups[what, name].get(side, {}).get(q) for q in ("median", "slow") for side in (0, 1)),
            )
            for what, name in ordered
        ),
        "Latency: what got slower, first",
        found.number,
    )  # fmt: skip


def _slowed(sides: dict[int, Row], level: float) -> Change | None:
    if len(sides) < 2:
        return None
    before, after = (Moments(row["n"], row["s"], row["q"]) for row in (sides[0], sides[1]))
    return _change(before, after, "amount", level)


def _by_slowness(change: Change | None) -> tuple[bool, float]:
    return (not change.sure, -change.value) if change else (True, 1.0)


def _is_rate(measured: Measured) -> bool:
    return measured.name in (*questions.RATES, questions.REFUSED)


def _metrics(found: Iterable[_Compared], names: tuple[str, str], sql: int, caption: str) -> Html:
    return table(
        ("Metric", bdi(names[0]), bdi(names[1]), "Change", "Adjusted", "Effect", ""),
        (
            (
                each.measured.name,
                _level(each, each.before.mean),
                _level(each, each.after.mean),
                changed(each.crude, each.measured.sort),
                changed(each.adjusted, each.measured.sort),
                "" if each.effect is None else f"{each.effect:+.2f}",
                _said(each),
            )
            for each in found
        ),
        caption,
        sql,
    )


def _said(each: _Compared) -> Child:
    """Return in words whether a metric differs."""
    if each.of_the_mix:
        return "mix of apps"
    if each.crude and each.crude.sure:
        return "differs"
    return el("span", {"class": "none"}, "not sure" if each.crude else "too few")


def _level(each: _Compared, mean: float) -> str:
    if _is_rate(each.measured):
        return f"{mean:.2%}"
    return f"{mean:,.0f}" if abs(mean) >= 100 else f"{mean:.3g}"


def _apps(mix: dict[str, tuple[int, int]], names: tuple[str, str], sql: int) -> Html:
    whole = [sum(each[side] for each in mix.values()) for side in (0, 1)]
    largest = sorted(mix.items(), key=lambda each: -sum(each[1]))[:20]
    return table(
        ("App", bdi(names[0]), bdi(names[1])),
        ((bdi(app), share(old, whole[0]), share(new, whole[1])) for app, (old, new) in largest),
        "Mix of apps",
        sql,
    )
