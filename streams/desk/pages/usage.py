"""Who uses what, what it costs, and whom the policy hits more than others."""

from collections.abc import Iterable
from typing import Final

from streams.desk import statistics
from streams.desk.asked import Asked, Row
from streams.desk.filters import EQUAL, Filter
from streams.desk.html import Child, el, table
from streams.desk.layout import page
from streams.desk.parts import bdi, changed, choose_time, kept, select, share
from streams.desk.questions import usage as questions
from streams.desk.questions.events import sort_of
from streams.desk.statistics import Moments

ACTED: Final = "any action"


def usage(asked: Asked, wanted: Filter, by: str, order: str, metrics: Iterable[str]) -> str:
    """Return the groups of the time: `wanted.metric` is what they are measured by, else what was acted on."""
    metric = wanted.metric
    found = questions.groups(asked, wanted, by, order)
    totals = next((row for row in found if row["is_total"]), None)
    groups = [row for row in found if not row["is_total"]][: questions.MOST]
    return page(
        "Usage",
        "/usage",
        asked,
        choose_time(wanted, "/usage", by=by, order=order),
        el(
            "form",
            {"method": "get", "action": "/usage", "class": "filter"},
            kept(wanted, "metric", "least", "most"),
            select("by", questions.BY, by, "For each"),
            select("order", questions.ORDERS, order, "Most"),
            select("metric", ("", *sorted(metrics)), metric, "Gap in (any: acted on)"),
            el("button", {"type": "submit"}, "Show"),
        ),
        table(
            (
                by.replace("_", " ").capitalize(), "Cost $", "Events", "Acted on", "Blocked", "Tokens in",
                "Tokens out", "Latency ms", "Users", f"Mean {metric or ACTED}", "Gap to the others",
            ),
            (_group(row, totals, wanted, by, len(groups)) for row in groups if totals),
            f"By {by.replace('_', ' ')}, most {order} first",
            found.number,
        ),
        el(
            "p", {"class": "none"},
            "Gap: how the group's mean differs from that of all others, with an interval; all intervals "
            "hold together at 95 %, however often one looks. Bold ones exclude that there is none.",
        ),
    )  # fmt: skip


def _group(row: Row, totals: Row, wanted: Filter, by: str, groups: int) -> Iterable[Child]:
    sort = sort_of(wanted.metric, totals["low"], totals["high"])
    own, rest = _moments(row), _others(row, totals)
    gap = statistics.change(
        statistics.estimate(rest, sort),
        statistics.estimate(own, sort),
        sort,
        statistics.LEVEL / max(1, groups),
    )
    name = bdi(row["value"] or "(none)")
    can_filter = by in EQUAL and row["value"]
    yield el("a", {"href": wanted.link("/events", **{by: row["value"]})}, name) if can_filter else name
    yield row["spent"]
    yield share(row["events"], totals["events"])
    yield share(row["acted"], row["events"])
    yield share(row["blocked"], row["events"])
    yield row["tokens_in"]
    yield row["tokens_out"]
    yield row["median"]
    yield row["users"]
    yield own.mean if own.size else None
    yield changed(gap, sort) if groups > 1 else None


def _moments(row: Row) -> Moments:
    return Moments(row["n"], row["s"] or 0.0, row["q"] or 0.0)


def _others(row: Row, totals: Row) -> Moments:
    own, whole = _moments(row), _moments(totals)
    return Moments(whole.size - own.size, whole.total - own.total, whole.squares - own.squares)
