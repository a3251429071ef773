"""What moved, and the alerts."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from streams.alerts.signals import DRIFT, POLICY, levels
from streams.desk import chart, statistics
from streams.desk.asked import Asked, Found, Row
from streams.desk.filters import Filter, reaching, spanning, written
from streams.desk.forms import hidden
from streams.desk.html import Child, Html, behind, el, moment_text, table
from streams.desk.layout import page
from streams.desk.pages.overview import alerts_table
from streams.desk.parts import badge, bdi, choose_time, listed, reviewed_rule_path, when
from streams.desk.questions import drift as questions
from streams.desk.questions.compare import PERIOD
from streams.desk.questions.events import sort_of
from streams.desk.statistics import Moments, Sort

ALERTS: Final = 50
VOLUME: Final = "volume"
_PIECE: Final = ("detector", "metric", "label", "start", "end", "weight", "text")
SUBJECTS: Final = {"user": "user", "conversation": "conversation_id", "tenant": "tenant"}
"""Fields of the events by whose usage an alert may be about."""
DOINGS: Final = (("acknowledge", "Acknowledge"), ("silence", "Silence 4 h"), ("resolve", "Resolve"))
NOT_FOLLOWED: Final = el(
    "p",
    {"class": "notice"},
    "No alert was followed in this time: ",
    el("code", None, "weir notify"),
    ", which ",
    el("code", None, "weir up"),
    " runs, makes one alert of all that has one cause, and says when it is over.",
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
        _states(states, token, "Alerts that are not over, and the last that are", wanted.time)
        if states
        else NOT_FOLLOWED,
        _drifts(found, "What moved"),
        alerts_table(questions.alerts(asked, wanted, ALERTS), "Alerts, one by one", wanted.time),
        time=wanted,
    )


def alert(asked: Asked, found: Found, token: str | None) -> str:
    """Return an alert with all the drifts that it stands for; `found` is its one row."""
    [row] = found
    parts = questions.parts(asked, row["alert_id"])
    more = row["alerts"] - len(parts)
    rest = f"Of {more:,} more only the number is kept." if more > 0 and parts else None
    return page(
        _title(row),
        "/drift",
        asked,
        _states(found, token, "The alert", Filter()),
        _drifts(parts, "What moved, with one cause"),
        el("p", {"class": "none"}, rest) if rest else None,
    )


def _states(found: Found, token: str | None, caption: str, time: Filter) -> Html:
    return table(
        ("State", "Severity", "Since", "Last", "App", "What", "Times", ""),
        (_state(row, token, time) for row in found),
        caption,
        found.number,
    )


def _state(row: Row, token: str | None, time: Filter) -> Iterable[Child]:
    until = f" until {row['silenced_until']:%d %b %H:%M}" if row["state"] == "silenced" else ""
    said = " ".join(filter(None, (row["who"], row["comment"])))
    yield badge(row["state"]), until, el("small", {"class": "said"}, bdi(said)) if said else None
    yield el("span", {"class": f"severity {row['severity']}"}, row["severity"])
    yield when(row["opened_at"])
    yield when(row["last_at"])
    yield bdi(row["app"])
    title, path = el("bdi", {"class": "long"}, _title(row)), _cause(row, time)
    whose = el("small", {"class": "said"}, bdi(row["subject"])) if row["subject"] else None
    yield el("a", {"href": path}, title) if path else title, whose
    yield row["alerts"]
    yield _acting(row["alert_id"], token) if token and row["state"] != "resolved" else None


def _title(row: Row) -> str:
    """Return what an alert is; how many times is a column of its own."""
    title: str = row["title"]
    return title.removesuffix(f" (+{row['alerts'] - 1:,})")


def _cause(row: Row, time: Filter) -> str | None:
    """Return where the events, the drifts or the rule of an alert are; None of what has none.

    `time` is what the pages show: a rule is of no time.
    """
    if row["kind"] == DRIFT:
        one = {"id": row["parts"][0]} if len(row["parts"]) == 1 else {"alert": row["alert_id"]}
        return f"/drift?{urlencode(one)}" if row["parts"] else None
    # From its first cause to its last, which is an event: the end itself is left out.
    begin, end = row["opened_at"].replace(tzinfo=dt.UTC), row["last_at"].replace(tzinfo=dt.UTC)
    values = {"app": row["app"]}
    wanted = Filter(values=values, begin=begin, end=end + dt.timedelta(milliseconds=1))
    if row["kind"] == VOLUME:
        return wanted._replace(begin=begin - dt.timedelta(hours=1)).link("/events")
    if path := reviewed_rule_path(row, time):
        return path
    if row["kind"] != POLICY:
        return None
    of, _, name = row["subject"].partition(" ")
    whose = {SUBJECTS[of]: name} if of in SUBJECTS else {}
    return wanted._replace(values=values | whose, rule=row["rule"]).link("/events")


def _acting(alert_id: str, token: str) -> Html:
    """Return the buttons that say what somebody does about an alert."""
    return el(
        "form",
        {"method": "post", "action": "/alert", "class": "row"},
        hidden({"alert_id": alert_id, "token": token}),
        (el("button", {"name": "do", "value": value}, name) for value, name in DOINGS),
    )


def _drifts(found: Found, caption: str) -> Html:
    return table(
        ("Found", "Since", "App", "Model", "Version", "Of", "Metric", "Before", "After"),
        (_moved(row) for row in found),
        caption,
        found.number,
    )


def _moved(row: Row) -> Iterable[Child]:
    follows = " (follows another)" if row["cause"] else " (back)" if row["returns"] else ""
    yield el("a", {"href": f"/drift?{urlencode({'id': row['drift_id']})}"}, when(row["timestamp"]))
    yield when(questions.began(row))
    yield bdi(row["app"])
    yield bdi(row["model"])
    yield bdi(row["prompt_version"])
    yield row["kind"]
    yield bdi(f"{row['metric']} {row['named_group']}".rstrip() + follows)
    before, after = levels(row["before"], row["after"])
    yield before
    yield (
        after,
        el("small", None, f" [{row['after_low']:.3g}, {row['after_high']:.3g}]")
        if row["after_low"] is not None and row["after_high"] is not None
        else None,
    )


def one(asked: Asked, row: Row, known: frozenset[str]) -> str:
    """Return one drift: how much, since when, and events of both sides."""
    value = questions.value_sql(row["metric"], known)
    title, told = f"{row['metric']} of {row['app']} moved", _told(row)
    time = Filter(reaching(row["timestamp"]))
    if value is None:
        return page(title, "/drift", asked, told, _no_number(row), time=time)
    found, course = questions.levels(asked, row, value), questions.course(asked, row, value)
    return page(
        title,
        "/drift",
        asked,
        told,
        chart.course(course, questions.began(row), f"Mean of {row['metric']}", behind(course.number)),
        _levels(row["metric"], found),
        listed(questions.examples(asked, row, value, after=False), "Events of before", row["metric"]),
        listed(questions.examples(asked, row, value, after=True), "Events of after", row["metric"]),
        time=time,
    )


def _told(row: Row) -> list[Html]:
    before, after = levels(row["before"], row["after"])
    sizes = f"(of {row['before_samples']:,} and {row['after_samples']:,} values)"
    said = f"{before} before, {after} after {sizes}."
    if row["named_group"]:
        others = "as it was before" if row["returns"] else "where others are"
        said = f"{after} where the group {row['named_group']} is named, {before} {others} {sizes}."
    return [
        el(
            "p", {"class": "why"}, f"Since {moment_text(questions.began(row))} UTC, {row['kind']}s, model ",
            bdi(row["model"] or "(none)"), ", prompt version ", bdi(row["prompt_version"] or "(none)"), ": ",
            bdi(said),
        ),
        el("p", None, el("a", {"href": _compare(row)}, "Compare the time since then with the time before")),
    ]  # fmt: skip


def _no_number(row: Row) -> Child:
    """Return what there is of a drift whose metric is no number of single events."""
    none = "It is no number of single events, so there is no course of it."
    if not row["evidence"]:
        return el("p", {"class": "none"}, none)
    pieces = map(_piece, row["evidence"])
    shares = (
        (bdi(text or "(no reference)"), bdi(label), f"{weight or 0:.1%}") for label, weight, text in pieces
    )
    return table(("Subject", "When", "Share"), shares, f"What moved. {none}")


def _piece(given: Any) -> tuple[str, float | None, str]:
    """Return label, weight and text of a piece of evidence, as the store has it."""
    piece = given if isinstance(given, Mapping) else dict(zip(_PIECE, given, strict=True))
    return piece["label"], piece["weight"], piece["text"]


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
    return wanted.link("/compare", by=PERIOD, new=written(began.replace(microsecond=0)))
