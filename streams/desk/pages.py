"""The pages: what was found, as HTML."""

from collections.abc import Iterable
from typing import Any, Final

from streams.desk import questions
from streams.desk.chart import bars
from streams.desk.filters import SPANS, Filter
from streams.desk.html import Child, el, table
from streams.desk.parts import (
    KNOWN,
    choose_time,
    event_path,
    filter_form,
    judging_form,
    listed,
    share,
    tile,
    told,
)
from streams.desk.questions import Asked

MENU: Final = (("/", "Overview"), ("/events", "Events"), ("/review", "Review"))


def page(title: str, here: str, asked: Asked | None, *content: Child) -> str:
    """Return a whole page."""
    links = [
        el("a", {"href": path, "aria-current": "page" if path == here else None}, name) for path, name in MENU
    ]
    statements = asked.statements if asked else []
    shown = el(
        "details", None, el("summary", None, "SQL of this page"), (el("pre", None, s) for s in statements)
    )
    head = el(
        "head",
        None,
        el("meta", {"charset": "utf-8"}),
        el("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        el("title", None, f"{title} · weir"),
        el("link", {"rel": "stylesheet", "href": "/static/desk.css"}),
        el("link", {"rel": "icon", "href": "data:,"}),
        el("script", {"src": "/static/desk.js", "defer": ""}),
    )
    body = el(
        "body",
        None,
        el("header", None, el("strong", None, "weir"), el("nav", {"aria-label": "Pages"}, links)),
        el("main", None, el("h1", None, title), *content, shown if statements else None),
    )
    return "<!doctype html>" + el("html", {"lang": "en"}, head, body)


def overview(asked: Asked, wanted: Filter) -> str:
    """Return what happened in a time."""
    numbers = questions.totals(asked, wanted)
    tiles = [
        tile("Events", numbers["events"], wanted.link("/events")),
        *(
            tile(name, share(numbers[column], numbers["events"]), wanted.link("/events", action=action))
            for name, column, action in (
                ("Blocked", "blocked", "block"), ("Escalated", "escalated", "escalate"),
                ("Redacted", "redacted", "redact"), ("Flagged", "flagged", "flag"),
            )
        ),
        tile("Not fully judged", numbers["incomplete"], None),
        tile("Decision, 99 %", f"{numbers['p99'] or 0:,.0f} ms", None),
        tile("Cost", f"{numbers['cost'] or 0:,.2f} $", None),
    ]  # fmt: skip
    return page(
        "Overview",
        "/",
        asked,
        choose_time(wanted, "/"),
        el("ul", {"class": "tiles"}, tiles),
        bars(questions.by_time(asked, wanted), SPANS[wanted.since], "Events by action"),
        table(
            ("Rule", "Mode", "Hits", "Reviewed right", "Reviewed wrong"),
            (
                (
                    el("a", {"href": wanted.link("/events", rule=row["rule"])}, row["rule"]),
                    row["mode"], row["hits"], row["agreed"], row["wrong"],
                )
                for row in questions.rules(asked, wanted)
            ),
            "Rules that were hit",
        ),
        table(
            ("App", "Model", "Events", "Blocked", "Cost $", "Latency ms, median"),
            (
                (
                    el("a", {"href": wanted.link("/events", app=row["app"])}, row["app"]),
                    row["model"], row["events"], row["blocked"], row["cost"], row["latency_ms"],
                )
                for row in questions.by_app(asked, wanted)
            ),
            "Apps and models",
        ),
        table(
            ("Time", "Severity", "App", "Rule", "What"),
            (
                (
                    f"{row['timestamp']:%d %b %H:%M:%S}",
                    el("span", {"class": f"severity {row['severity']}"}, row["severity"]),
                    row["app"],
                    row["rule"],
                    el("a", {"href": event_path(row)}, row["title"]) if row["event_id"] else row["title"],
                )
                for row in questions.alerts(asked, wanted)
            ),
            "Last alerts",
        ),
    )  # fmt: skip


def events(asked: Asked, wanted: Filter, metrics: Iterable[str]) -> str:
    """Return a page of events."""
    found = questions.events(asked, wanted)
    shown = found[: questions.PAGE]
    older = None
    if len(found) > len(shown):
        before = f"{shown[-1]['timestamp']:%Y-%m-%d %H:%M:%S.%f}"
        older = el(
            "p", None, el("a", {"href": wanted.link("/events", before=before), "rel": "next"}, "Older")
        )
    return page(
        "Events",
        "/events",
        asked,
        filter_form(wanted, metrics),
        listed(shown, "Events", wanted.metric),
        older,
    )


def event(asked: Asked, row: dict[str, Any], token: str, message: str = "") -> str:
    """Return one event: what it says, what was decided, why, and what stands around it."""
    return page(
        "Event",
        "/events",
        asked,
        el("p", {"class": "notice", "role": "status"}, message) if message else None,
        *told(row),
        judging_form(row, token, "/judge"),
        table(
            ("Time", "Reviewer", "Judgement", "Of", "Comment"),
            (
                (f"{o['timestamp']:%d %b %H:%M}", o["reviewer"], o["judgement"], o["metric"], o["comment"])
                for o in questions.opinions(asked, row["app"], row["event_id"])
            ),
            "Reviews",
        ),
        listed(questions.conversation(asked, row["app"], row["conversation_id"]), "The conversation")
        if row["conversation_id"]
        else None,
        table(
            ("Field", "Value"),
            (
                (name, str(value))
                for name, value in row.items()
                if name in KNOWN and value not in ("", None, [])
            ),
            "What is known of it",
        ),
    )


def review(asked: Asked, row: dict[str, Any] | None, left: int, token: str) -> str:
    """Return the next event to judge."""
    if row is None:
        return page("Review", "/review", asked, el("p", None, "Nothing waits for a review."))
    progress = el(
        "p", None, f"{left:,} to review" if left < questions.PAGE else f"{left:,} or more to review"
    )
    return page("Review", "/review", asked, progress, judging_form(row, token, "/review"), *told(row))


def failure(title: str, why: str) -> str:
    """Return a page that says what is wrong."""
    return page(title, "", None, el("p", {"class": "notice"}, why))
