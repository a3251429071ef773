"""Two prompt versions, models, apps or periods, side by side."""

import datetime as dt

from streams.desk.asked import Asked, Found
from streams.desk.filters import Filter
from streams.desk.forms import is_kept
from streams.desk.html import Child, Html, el, moment_text
from streams.desk.layout import page
from streams.desk.pages import comparison
from streams.desk.pages.comparison import Names
from streams.desk.parts import bdi, choose_time, entered, field, kept, labelled, select
from streams.desk.questions import compare as questions
from streams.desk.questions.compare import PERIOD, Sides
from streams.desk.questions.events import FIXED


def compare(asked: Asked, wanted: Filter, sides: Sides) -> str:
    """Return the comparison, or what there is to compare."""
    choices = questions.choices(asked, wanted, sides.by)
    sides = _completed(sides, choices)
    content: list[Child] = []
    if sides.by == PERIOD or (sides.old and sides.new and sides.old != sides.new):
        times = questions.times(asked, wanted, sides)
        if halves := _halves(sides, times):
            sides, times = halves, questions.times(asked, wanted, halves)
            content.append(_of_halves(wanted))
        content += _compared(asked, wanted, sides, times, sorted(wanted.columns - FIXED))
    else:
        content.append(
            el("p", {"class": "notice"}, "There are no two to compare in this time: choose more time.")
        )
    form = _form(wanted, sides, choices)
    return page("Compare", "/compare", asked, form, _links(wanted, sides), *content, time=wanted)


def _completed(sides: Sides, choices: Found) -> Sides:
    """Return both sides; what is not said is the most frequent of the others, the newer second."""
    missing = [sides.old, sides.new].count("")
    others = [row["value"] for row in choices if row["value"] not in (sides.old, sides.new)]
    if sides.by == PERIOD or len(others) < missing:
        return sides
    frequent = sorted(others[:missing], key=str)
    return Sides(sides.by, sides.old or frequent[0], sides.new or frequent[-1])


def _halves(sides: Sides, times: Found) -> Sides | None:
    """Return the halves of the time that has events where only one of the two last periods has."""
    if sides.by != PERIOD or sides.new or len(times) != 1 or not (middle := questions.middle(times)):
        return None
    return Sides(PERIOD, "", middle)


def _of_halves(wanted: Filter) -> Html:
    before = "the same time before" if wanted.begin or wanted.end else f"the {wanted.since} before"
    said = f"Only one of {wanted.named_time} and {before} has events: these are the halves of its time."
    return el("p", {"class": "notice", "role": "note"}, said)


def _links(wanted: Filter, sides: Sides) -> Html:
    more = {"by": sides.by, "old": sides.old, "new": sides.new}
    return choose_time(wanted, "/compare", **more)


def _form(wanted: Filter, sides: Sides, choices: Found) -> Html:
    known = [el("option", {"value": row["value"]}) for row in choices if is_kept(row["value"])]
    asked = {"by": sides.by, "old": sides.old, "new": sides.new}
    both = [
        entered(name, key, asked[key], wanted.link("/compare", **asked | {key: ""}), list="choices")
        for name, key in (("Before", "old"), ("After", "new"))
    ]
    app = wanted.values.get("app", "")
    usual = f"{wanted.since} ago" if wanted.begin is None else "2026-01-31 12:00"
    begins = labelled("Second begins (UTC)", field("new", sides.new, placeholder=usual))
    return el(
        "form",
        {"method": "get", "action": "/compare", "class": "filter"},
        kept(wanted, "app", "kind", "old", "new", was=sides.by, old=sides.old, new=sides.new),
        select("by", questions.BY, sides.by, "What differs"),
        both if sides.by != PERIOD else begins,
        el("datalist", {"id": "choices"}, known),
        entered("Only app", "app", app, wanted.link("/compare", **asked | {"app": ""})),
        select("kind", ("", "prompt", "completion"), wanted.values.get("kind", "")),
        el("button", {"type": "submit"}, "Compare"),
    )


def _compared(asked: Asked, wanted: Filter, sides: Sides, times: Found, scores: list[str]) -> list[Child]:
    every = questions.one_in(sum(row["events"] for row in times))
    rows = questions.measure(asked, wanted, sides, scores, every)
    names = _names(wanted, sides, times)
    if len({row["side"] for row in rows}) < 2:
        return [el("p", {"class": "notice"}, _no_events(rows, names))]
    # Two apps have no app in common: of them only the kinds are a mix.
    mix = {} if sides.by == "app" else questions.mix(rows)
    measured = questions.measured(rows, scores, sides.by)
    found = comparison.compared([each for each in measured if not each.alone])
    rates = [each for each in found if each.measured.is_rate]
    others = [each for each in found if not each.measured.is_rate]
    return [
        comparison.one_sided(mix, measured, names),
        comparison.warning(mix, found),
        comparison.sizes(times, names),
        comparison.latencies(questions.latencies(asked, wanted, sides)),
        comparison.metrics(rates, names, rows.number, "What became of them"),
        comparison.metrics(others, names, rows.number, "Metrics, what surely differs first"),
        el("p", {"class": "none"}, f"Metrics and mix are of one event in {every}.") if every > 1 else None,
        el(
            "p", {"class": "none"},
            "Of latency, tokens, cost and other amounts the change is a ratio, of what became of the events "
            "percentage points, of all else a difference. "
            "The intervals of a page hold together at 95 %, however often one looks. Adjusted: as if both "
            "sides had the same mix of apps and kinds. Effect: the difference in standard deviations; 0.2 is "
            "small, 0.8 large.",
        ),
        comparison.apps(mix, names, rows.number) if mix else None,
    ]  # fmt: skip


def _no_events(rows: Found, names: Names) -> Child:
    """Return which of the two has none."""
    absent = [name for side, name in enumerate(names[:2]) if side not in {row["side"] for row in rows}]
    return bdi(" and ".join(absent)), " has no events in this time."


def _names(wanted: Filter, sides: Sides, times: Found) -> Names:
    """Return what the sides are called: of periods from when to when they have events."""
    if sides.by != PERIOD:
        return Names(sides.old, sides.new)
    spans = {row["side"]: f"{moment_text(row['first'])} to {moment_text(row['last'])}" for row in times}
    return Names(spans.get(0, "before"), spans.get(1, "after"), _periods(wanted, sides))


def _periods(wanted: Filter, sides: Sides) -> tuple[str, str]:
    """Return which periods were asked for."""
    if wanted.begin or wanted.end:
        first, begin, end = (
            moment_text(each) for each in questions.periods(wanted, sides, dt.datetime.now(dt.UTC))
        )
        return f"{first} to {begin}", f"{begin} to {end}"
    if sides.new:
        return f"{wanted.since} before {sides.new}", f"{wanted.since} from {sides.new}"
    return f"the {wanted.since} before", f"the last {wanted.since}"
