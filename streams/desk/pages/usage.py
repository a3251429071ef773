"""Who uses what, what it costs, and whom the policy hits more than others."""

from collections.abc import Iterable, Mapping
from typing import Final

from streams.desk import statistics
from streams.desk.asked import Asked, Row
from streams.desk.filters import EQUAL, Filter
from streams.desk.html import Child, Html, el, table
from streams.desk.layout import page
from streams.desk.parts import bdi, changed, choose_time, dollars, kept, select, share
from streams.desk.questions import usage as questions
from streams.desk.questions.events import sort_of
from streams.desk.statistics import Moments

ACTED: Final = "any action"
FEW: Final = 3
"""Rules that are named of a group."""
ASKED: Final = (
    ("Which app costs most", "app", "spent"),
    ("Which model is slowest", "model", "median"),
    ("Who uses most", "user", "events"),
    ("Who costs most", "user", "spent"),
    ("Who was blocked most", "user", "blocked"),
    ("Which tenant was blocked most", "tenant", "blocked"),
)
"""What is often asked: by what the events are grouped then, and sorted."""


def usage(asked: Asked, wanted: Filter, by: str, order: str, conditions: Mapping[str, str]) -> str:
    """Return the groups of the time: `wanted.metric` is what they are measured by, else what was acted on.

    `conditions` says when the rules of the policy hit.
    """
    found = questions.groups(asked, wanted, by, order)
    totals = next((row for row in found if row["is_total"]), None)
    named = [row for row in found if not row["is_total"] and row["value"]][: questions.MOST]
    # Those that say no name are no group to look at: they stand last, however many they are.
    groups = named + [row for row in found if not row["is_total"] and not row["value"]]
    nobody = sum(row["blocked"] for row in groups[len(named) :])
    word = by.replace("_", " ")
    return page(
        "Usage",
        "/usage",
        asked,
        choose_time(wanted, "/usage", by=by, order=order),
        _questions(wanted, by, order),
        _form(wanted, by, order),
        _first(named, nobody, totals, wanted, by) if order == "blocked" and totals else None,
        table(
            _head(by, wanted.metric),
            (_group(row, totals, wanted, by, len(groups)) for row in groups if totals),
            f"By {word}, {_ordered(order, totals)}{_left_out(len(named), totals)}",
            found.number,
        ),
        _rules(totals, wanted, by, conditions) if totals else None,
        el(
            "p", {"class": "none"},
            f"Gap: how the group's mean, of {wanted.metric or ACTED}, differs from that of all others, "
            "with an interval; all intervals hold together at 95 %, however often one looks. Bold: "
            "there is one.",
        ),
        time=wanted,
    )  # fmt: skip


def _questions(wanted: Filter, by: str, order: str) -> Html:
    """Return what is often asked, each a link to its answer."""
    links = [
        el(
            "a",
            {
                "href": wanted.link("/usage", by=of, order=most),
                "aria-current": "true" if (of, most) == (by, order) else None,
            },
            said,
        )
        for said, of, most in ASKED
    ]
    return el("nav", {"class": "times", "aria-label": "Often asked"}, links)


def _ordered(order: str, totals: Row | None) -> str:
    if order == "spent" and totals and totals["events"] and not totals["spent"]:
        return "most events first, since none says what it cost"
    return {"spent": "the dearest first", "median": "the slowest first"}.get(
        order, f"most {questions.ORDERS[order]} first"
    )


def _form(wanted: Filter, by: str, order: str) -> Html:
    return el(
        "form",
        {"method": "get", "action": "/usage", "class": "filter"},
        kept(wanted, "metric", "least", "most"),
        select("by", questions.BY, by, "For each"),
        select("order", questions.ORDERS, order, "Highest first", questions.ORDERS),
        select("metric", ("", *sorted(wanted.columns)), wanted.metric, "Gap in (any: acted on)"),
        el("button", {"type": "submit"}, "Show"),
    )


def _left_out(shown: int, totals: Row | None) -> str:
    return f": {shown} of {totals['groups']:,}" if totals and totals["groups"] > shown else ""


def _first(named: list[Row], nobody: int, totals: Row, wanted: Filter, by: str) -> Html:
    """Return in a sentence whom to look at; of `nobody` are the blocks that name none."""
    if not named or not named[0]["blocked"]:
        return el("p", {"class": "why"}, "Nobody who is named was blocked in this time.")
    top, word = named[0], by.replace("_", " ")
    own, whole = top["blocked"], totals["blocked"]
    nameless = f" {nobody:,} ({nobody / whole:.0%}) give no {word}." if nobody else ""
    return el(
        "p", {"class": "why"},
        f"Blocked most: {word} ", _events(top, wanted, by, top["value"], action="block"),
        f", {own:,} of {top['events']:,} events: {own / whole:.0%} of all {whole:,} that were blocked, by ",
        blocked_by(top["blocked_by"], wanted, **_own(by, top)), ".", nameless,
    )  # fmt: skip


def blocked_by(counted: tuple[list[str], list[int]], wanted: Filter, **group: str) -> Child:
    """Return the rules that blocked, each with how many events, which its link shows."""
    shown: list[Child] = []
    rules = questions.ranked(counted)
    for rule, events in rules[:FEW]:
        path = wanted.link("/events", action="block", rule=rule, **group)
        shown += [", " if shown else "", el("a", {"href": path}, bdi(rule)), f" {events:,}"]
    more = f" and {len(rules) - FEW:,} more rules" if len(rules) > FEW else None
    return el("span", {"class": "rules"}, shown, more) if shown else None


def _rules(totals: Row, wanted: Filter, by: str, conditions: Mapping[str, str]) -> Html | None:
    """Return the rules that blocked, with what each asks: a limit of usage, or of a score."""
    rules = questions.ranked(totals["blocked_by"])
    if not rules:
        return None
    return table(
        ("Rule", "Blocked", "It hits when, in the policy file"),
        (
            (
                el("a", {"href": wanted.link("/usage", rule=rule, by=by, order="blocked")}, bdi(rule)),
                share(events, totals["blocked"]),
                el("code", None, conditions.get(rule, "")),
            )
            for rule, events in rules
        ),
        f"Rules that blocked: each leads to whom it blocked, by {by.replace('_', ' ')}",
    )


def _own(by: str, row: Row) -> dict[str, str]:
    return {by: row["value"]} if by in EQUAL and row["value"] else {}


def _events(row: Row, wanted: Filter, by: str, shown: Child, **more: str) -> Child:
    """Return the link to events of a group, where they can be asked for."""
    own = _own(by, row)
    return el("a", {"href": wanted.link("/events", **own, **more)}, bdi(str(shown))) if own else shown


def _head(by: str, metric: str) -> Iterable[str]:
    yield by.replace("_", " ").capitalize()
    yield from ("Blocked", "Of all blocked", "Blocked by", "Acted on", "Events", "Cost $")
    yield from ("Tokens in, out", "Latency ms")
    if by != "user":
        yield "Users"
    if metric:
        yield f"Mean {metric}"
    yield "Gap to the others"


def _group(row: Row, totals: Row, wanted: Filter, by: str, groups: int) -> Iterable[Child]:
    sort = sort_of(wanted.metric, totals["low"], totals["high"])
    own, rest = _moments(row), _others(row, totals)
    gap = statistics.change(
        statistics.estimate(rest, sort),
        statistics.estimate(own, sort),
        sort,
        statistics.LEVEL / max(1, groups),
    )
    yield _events(row, wanted, by, row["value"]) if row["value"] else f"(no {by.replace('_', ' ')} given)"
    blocked = share(row["blocked"], row["events"])
    yield _events(row, wanted, by, blocked, action="block") if row["blocked"] else blocked
    yield f"{row['blocked'] / totals['blocked']:.1%}" if row["blocked"] else ""
    yield blocked_by(row["blocked_by"], wanted, **_own(by, row))
    yield share(row["acted"], row["events"])
    yield share(row["events"], totals["events"])
    yield dollars(row["spent"])
    counts = [row["tokens_in"] or 0, row["tokens_out"] or 0]
    yield ", ".join(f"{count:,}" for count in counts) if any(counts) else None
    yield row["median"]
    if by != "user":
        yield row["users"]
    if wanted.metric:
        yield own.mean if own.size else None
    yield changed(gap, sort, points=not wanted.metric) if groups > 1 else None


def _moments(row: Row) -> Moments:
    return Moments(row["n"], row["s"] or 0.0, row["q"] or 0.0)


def _others(row: Row, totals: Row) -> Moments:
    own, whole = _moments(row), _moments(totals)
    return Moments(whole.size - own.size, whole.total - own.total, whole.squares - own.squares)
