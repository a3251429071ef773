"""What moved, and the alerts."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

from streams.alerts.signals import DRIFT, POLICY
from streams.desk import chart, statistics
from streams.desk.asked import Asked, Found, Row
from streams.desk.filters import Filter, reaching, spanning
from streams.desk.html import Child, Html, behind, el, table
from streams.desk.layout import page
from streams.desk.pages.overview import alerts_table
from streams.desk.parts import badge, bdi, choose_time, listed, when
from streams.desk.questions import drift as questions
from streams.desk.questions.compare import PERIOD, TIME
from streams.desk.questions.events import sort_of
from streams.desk.statistics import Moments, Sort

ALERTS: Final = 50
DOINGS: Final = (("acknowledge", "Acknowledge"), ("silence", "Silence 4 h"), ("resolve", "Resolve"))
NOT_FOLLOWED: Final = el(
    "p",
    {"class": "notice"},
    "No alert was followed in this time: `weir notify`, which `weir up` runs, makes one alert of all that "
    "has one cause, and says when it is over.",
)
"""In place of the alerts and their states."""


def drift(asked: Asked, wanted: Filter, token: str | None, message: str = "") -> str:
    """Return what moved in the time, and its alerts; `token` is None for who may not act on them."""
    found = questions.moved(asked, wanted)
    states = questions.states(asked, wanted, ALERTS)
    return page(
        "Drift and alerts",
        "/drift",
        asked,
        el("p", {"class": "notice", "role": "status"}, message) if message else None,
        choose_time(wanted, "/drift"),
        _states(states, token) if states else NOT_FOLLOWED,
        table(
            ("Found", "Since", "App", "Model", "Version", "Of", "Metric", "Before", "After"),
            (_moved(row) for row in found),
            "What moved",
            found.number,
        ),
        alerts_table(questions.alerts(asked, wanted, ALERTS), "Alerts, one by one"),
    )


def _states(found: Found, token: str | None) -> Html:
    return table(
        ("State", "Severity", "Since", "Last", "App", "What", "Times", "" if token else None),
        (_state(row, token) for row in found),
        "Alerts that are not over, and the last that are",
        found.number,
        cards=True,
    )


def _state(row: Row, token: str | None) -> Iterable[Child]:
    until = f" until {row['silenced_until']:%d %b %H:%M}" if row["state"] == "silenced" else ""
    said = " ".join(filter(None, (row["who"], row["comment"])))
    yield badge(row["state"]), until, el("small", {"class": "said"}, bdi(said)) if said else None
    yield el("span", {"class": f"severity {row['severity']}"}, row["severity"])
    yield when(row["opened_at"])
    yield when(row["last_at"])
    yield bdi(row["app"])
    title, path = el("bdi", {"class": "long"}, row["title"]), _cause(row)
    yield el("a", {"href": path}, title) if path else title
    yield row["alerts"]
    yield _acting(row["alert_id"], token) if token and row["state"] != "resolved" else None


def _cause(row: Row) -> str | None:
    """Return where the events or the drift of an alert are; None of what has neither."""
    if row["kind"] == DRIFT:
        return f"/drift?{urlencode({'id': row['part_id']})}" if row["part_id"] else None
    if row["kind"] != POLICY:
        return None
    wanted = Filter(reaching(row["opened_at"]), {"app": row["app"]}, rule=row["rule"])
    return wanted.link("/events")


def _acting(alert_id: str, token: str) -> Html:
    """Return the buttons that say what somebody does about an alert."""
    hidden = {"alert_id": alert_id, "token": token}
    return el(
        "form",
        {"method": "post", "action": "/alert", "class": "row"},
        (el("input", {"type": "hidden", "name": name, "value": value}) for name, value in hidden.items()),
        (el("button", {"name": "do", "value": value}, name) for value, name in DOINGS),
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
        el("p", None, el("a", {"href": _compare(row)}, "Compare the time since then with the time before")),
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
    began = questions.began(row)
    wanted = Filter(spanning(questions.window(row).total_seconds() / 3600), questions.drift_segment(row))
    return wanted.link("/compare", by=PERIOD, new=f"{began:{TIME}}")
