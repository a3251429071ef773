"""How a reviewer judges: the queue's page, and the form of an event."""

from typing import Final

from streams.desk.asked import Asked, Row
from streams.desk.html import Child, Html, behind, el
from streams.desk.layout import page
from streams.desk.parts import field, labelled, reviewed
from streams.desk.questions.events import PAGE, misses

JUDGEMENTS: Final = (
    ("correct", "a", "Right"), ("false_positive", "w", "Wrong: harmless"),
    ("false_negative", "m", "Wrong: missed"), ("unsure", "u", "Unsure"),
)  # fmt: skip


def judging_form(row: Row, token: str, path: str) -> Html:
    """Return the form of a review; its keys are in `desk.js`."""
    buttons = [
        el(
            "button",
            {"name": "judgement", "value": value, "data-key": key, "type": "submit"},
            f"{name} ({key})",
        )
        for value, key, name in JUDGEMENTS
    ]
    hidden = {"app": row["app"], "event_id": row["event_id"], "token": token}
    rules = [el("option", {"value": rule}, rule) for rule in dict.fromkeys(row["rules"])]
    choice = el("select", {"name": "metric"}, el("option", {"value": ""}, "the decision"), rules)
    later = el("a", {"href": "/review?skip=1", "data-key": "n", "class": "button"}, "Later (n)")
    return el(
        "form",
        {"method": "post", "action": path, "class": "judge", "aria-label": "Judge this event"},
        (el("input", {"type": "hidden", "name": name, "value": value}) for name, value in hidden.items()),
        labelled("Judge", choice),
        labelled("Comment", field("comment", "", maxlength="1000")),
        buttons,
        later if path == "/review" else None,
    )


def review(asked: Asked, row: Row | None, told: list[Child], left: int, token: str | None) -> str:
    """Return the next event to judge; `told` says what it is."""
    if row is None or token is None:
        none = "Nothing waits for a review." if token else "You may look here; reviewers judge."
        return page("Review", "/review", asked, el("p", None, none), _misses(asked))
    progress = el("p", None, f"{left:,} to review" if left < PAGE else f"{left:,} or more to review")
    form = judging_form(row, token, "/review")
    return page("Review", "/review", asked, progress, form, *told, _misses(asked))


def _misses(asked: Asked) -> Html:
    """Return how many of the allowed events should not have been, as far as reviews of a sample say."""
    found = misses(asked)
    said = reviewed(found["missed"], found["reviewed"])
    return el(
        "p", {"class": "none"},
        "Missed, of the allowed events that were taken at random and reviewed in 30 days: ", said,
        behind(len(asked.statements)),
    )  # fmt: skip
