"""What moved, and the alerts."""

from collections.abc import Iterable
from typing import Final

from streams.desk import chart, statistics
from streams.desk.asked import Asked, Found, Row
from streams.desk.filters import Filter
from streams.desk.html import Child, Html, behind, el, table
from streams.desk.layout import page
from streams.desk.pages.overview import alerts_table
from streams.desk.parts import bdi, choose_time, listed, when
from streams.desk.questions import drift as questions
from streams.desk.questions.events import sort_of
from streams.desk.statistics import Moments, Sort

ALERTS: Final = 50


def drift(asked: Asked, wanted: Filter) -> str:
    """Return what moved in the time, and its alerts."""
    found = questions.moved(asked, wanted)
    return page(
        "Drift and alerts",
        "/drift",
        asked,
        choose_time(wanted, "/drift"),
        table(
            ("Found", "Since", "App", "Model", "Version", "Of", "Metric", "Before", "After"),
            (_moved(row) for row in found),
            "What moved",
            found.number,
        ),
        alerts_table(questions.alerts(asked, wanted, ALERTS), "Alerts"),
    )


def _moved(row: Row) -> Iterable[Child]:
    follows = " (follows another)" if row["cause"] else ""
    yield el("a", {"href": f"/drift?id={row['drift_id']}"}, when(row["timestamp"]))
    yield when(questions.began(row))
    yield bdi(row["app"])
    yield bdi(row["model"])
    yield bdi(row["prompt_version"])
    yield row["kind"]
    yield bdi(row["metric"] + follows)
    yield row["before"]
    yield (
        f"{row['after']:.3g}",
        el("small", None, f" [{row['after_low']:.3g}, {row['after_high']:.3g}]")
        if row["after_low"] is not None and row["after_high"] is not None
        else None,
    )


def one(asked: Asked, row: Row, known: frozenset[str]) -> str:
    """Return one drift: how much, since when, and events of both sides."""
    value = questions.value_sql(row["metric"], known)
    title = f"{row['metric']} of {row['app']} moved"
    told = (
        el(
            "p", {"class": "why"},
            f"Since {questions.began(row):%d %b %H:%M} UTC, {row['kind']}s, model ",
            bdi(row["model"] or "(none)"),
            ", prompt version ", bdi(row["prompt_version"] or "(none)"),
            f": {row['before']:.3g} before, {row['after']:.3g} after"
            f" (of {row['before_samples']:,} and {row['after_samples']:,} values).",
        ),
        el("p", None, el("a", {"href": _compare(row)}, "Compare this time with the time before")),
    )  # fmt: skip
    if value is None:
        return page(title, "/drift", asked, told, el("p", None, "The events have no such metric any more."))
    levels, course = questions.levels(asked, row, value), questions.course(asked, row, value)
    return page(
        title,
        "/drift",
        asked,
        told,
        chart.course(course, questions.began(row), f"Mean of {row['metric']}", behind(course.number)),
        _levels(row["metric"], levels),
        listed(questions.examples(asked, row, value, after=False), "Events of before", row["metric"]),
        listed(questions.examples(asked, row, value, after=True), "Events of after", row["metric"]),
    )


def _levels(metric: str, found: Found) -> Html:
    return table(
        ("", "Values", "Mean", "Where it lies, 95 %"),
        (
            (
                "after" if row["side"] else "before",
                row["n"],
                moments.mean if moments.size else None,
                _within(statistics.interval(moments, _sort(metric, row), statistics.LEVEL / 2)),
            )
            for row in found
            for moments in [Moments(row["n"], row["s"] or 0.0, row["q"] or 0.0)]
        ),
        "Both sides, as the events have it now",
        found.number,
    )


def _sort(metric: str, row: Row) -> Sort:
    sort = sort_of(metric, row["low"], row["high"])
    return "score" if sort == "amount" else sort


def _within(found: tuple[float, float] | None) -> str:
    return "too few values" if found is None else f"{found[0]:.3g} to {found[1]:.3g}"


def _compare(row: Row) -> str:
    wanted = Filter(since="24h", values={"app": row["app"], "kind": row["kind"]})
    return wanted.link("/compare", by="period")
