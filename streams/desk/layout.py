"""What every page has around it."""

from typing import Final

from streams.desk.asked import Asked
from streams.desk.filters import SINCE, Filter
from streams.desk.html import Child, Html, el

MENU: Final = (
    ("/", "Overview"), ("/events", "Events"), ("/review", "Review"), ("/compare", "Compare"),
    ("/drift", "Drift and alerts"), ("/usage", "Usage"), ("/policy", "Policy"),
)  # fmt: skip


def page(title: str, here: str, asked: Asked | None, *content: Child, time: Filter | None = None) -> str:
    """Return a whole page; the statements that it was made of stand at its foot.

    The menu leads on with the `time` that was chosen; how old a single event or alert is chooses none.
    """
    of_time = time.time if time and time.time != Filter(SINCE) else None
    links = [
        el(
            "a",
            {
                "href": of_time.link(path) if of_time else path,
                "aria-current": "page" if path == here else None,
            },
            name,
        )
        for path, name in MENU
    ]
    head = el(
        "head",
        None,
        el("meta", {"charset": "utf-8"}),
        el("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        el("title", None, f"{title} · weir"),
        el("link", {"rel": "stylesheet", "href": "/static/desk.css"}),
        el("link", {"rel": "stylesheet", "href": "/colours.css"}),
        el("link", {"rel": "icon", "href": "data:,"}),
        el("script", {"src": "/static/desk.js", "defer": ""}),
    )
    body = el(
        "body",
        None,
        el("a", {"href": "#main", "class": "skip"}, "To the content"),
        el("header", None, el("strong", None, "weir"), el("nav", {"aria-label": "Pages"}, links)),
        el("main", {"id": "main"}, el("h1", None, title), *content, statements(asked)),
    )
    return "<!doctype html>" + el("html", {"lang": "en"}, head, body)


def statements(asked: Asked | None) -> Html | None:
    """Return what was asked of the store, to be asked again with `weir sql`."""
    if not asked or not asked.statements:
        return None
    shown = [
        el("li", {"id": f"sql-{number}"}, el("pre", {"tabindex": "0"}, sql))
        for number, sql in enumerate(asked.statements, 1)
    ]
    return el("details", {"id": "sql"}, el("summary", None, "SQL of this page"), el("ol", None, shown))


def failure(title: str, why: str, *more: Child, here: str = "") -> str:
    """Return a page that says what is wrong."""
    return page(title, here, None, el("p", {"class": "notice", "role": "alert"}, why), *more)
