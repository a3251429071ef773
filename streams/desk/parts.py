"""What several pages are made of: lists of events, forms, numbers."""

import datetime as dt
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

from schemas.events import KINDS, VERDICTS
from streams.desk.asked import Found
from streams.desk.filters import EQUAL, SPANS, Filter, number, written
from streams.desk.forms import hidden, is_kept
from streams.desk.html import Child, Html, el, moment_text, table
from streams.desk.languages import NAMES
from streams.desk.statistics import Change, Moments, Sort, interval
from streams.desk.unjudged import JUDGED

SNIPPET: Final = 160
FINDERS: Final = ("pii", "secrets")
"""Detectors without which no text is redacted."""
UNCHANGED: Final[Mapping[str, str]] = MappingProxyType({})
SELDOM: Final = (
    "tenant", "environment", "event_id", "request_id", "trace_id", "text_hash", "policy_version",
    "policy_hash",
)  # fmt: skip
"""Fields of the filter that are folded."""


def listed(rows: Found, caption: str, metric: str = "", *, most: int | None = None) -> Html:
    """Return events as a table, with the score by which they were chosen."""
    head = ("Time", "App", "User", "Kind", "Action", "Rules", "Text", *([metric] if metric else ()))
    return table(
        head,
        (
            (
                el("a", {"href": event_path(row)}, when(row["timestamp"])),
                bdi(row["app"]),
                bdi(row["user"]),
                row["kind"],
                badge(row["action"]),
                bdi(", ".join(dict.fromkeys(row["rules"]))),
                el("bdi", {"class": "long"}, snippet(row)),
                *([row["score"]] if metric else ()),
            )
            for row in rows[:most]
        ),
        caption,
        rows.number,
    )


def snippet(row: dict[str, Any]) -> str:
    """Return the start of an event's text."""
    text: str = row["text"] or f"(not kept: {not_kept(row)})"
    return text[:SNIPPET] + ("…" if len(text) > SNIPPET else "")


def not_kept(row: dict[str, Any]) -> str:
    """Return why the text of an event is not kept."""
    if row["storage"] == "oversize":
        return "too large for its topic"
    if row["storage"] == "hash" and (failed := [name for name in row.get("failed", ()) if name in FINDERS]):
        return f"it could not be redacted, since {' and '.join(failed)} failed"
    return f"storage {row['storage']}"


def bdi(text: str) -> Html:
    """Return a text whose direction of writing ends with it."""
    return el("bdi", None, text)


def when(moment: Any) -> Html:
    """Return a time in UTC."""
    return el("time", {"datetime": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}, moment_text(moment, seconds=True))


def event_path(row: dict[str, Any]) -> str:
    """Return the address of an event."""
    return "/event?" + urlencode({"app": row["app"], "id": row["event_id"]})


def reviewed_rule_path(row: dict[str, Any], time: Filter) -> str | None:
    """Return where the rule is that an alert of reviews is about; None for another alert."""
    if row["subject"] not in ("doubted", "demoted"):
        return None
    return f"{time.link('/policy')}#rule-{row['rule']}"


def badge(name: str) -> Html:
    """Return the name of an action, in its colour."""
    return el("span", {"class": f"action {name}"}, name)


def share(part: int, whole: int) -> str:
    """Return a count and its share."""
    return f"{part:,} ({part / whole:.1%})" if whole and part else f"{part:,}"


def dollars(amount: float | None) -> Child:
    """Return what something cost, with cents from a dollar on."""
    return amount if amount is None or 0 < amount < 1 else f"{amount:,.2f}"


def nothing(wanted: Filter, path: str) -> Html:
    """Return what to do where no event is found."""
    more = el("a", {"href": wanted.time.link(path, since="all")}, "all time")
    return el(
        "p", {"class": "notice", "role": "note"}, "No event in ", bdi(wanted.named_time),
        " with all that is asked for. Look in ", more, "; where there should be events, ",
        el("code", None, "weir doctor"), " says what is wrong, and ", el("code", None, "weir publish"),
        " sends some.",
    )  # fmt: skip


def same_text(row: dict[str, Any]) -> Html | None:
    """Return the link to where the text of an event occurs, of whatever app and time."""
    if not row["text_hash"]:
        return None
    wanted = Filter("all", {"text_hash": row["text_hash"]})
    return el("p", None, el("a", {"href": wanted.link("/events")}, "All events with this text"))


def reviewed(right: int, of: int, review: str = "") -> Child:
    """Return what reviewers say as a share, with its interval where there are enough of them.

    Of what nobody has reviewed it leads to the address `review`, where one does.
    """
    if not of:
        none = "not reviewed"
        return el("a", {"href": review}, none) if review else el("span", {"class": "none"}, none)
    lies = interval(Moments(of, right, right), "share")
    said = f" [{lies[0]:.0%}, {lies[1]:.0%}]" if lies else ""
    return f"{right:,} of {of:,}, {right / of:.0%}", el("small", None, said)


def changed(change: Change | None, sort: Sort, missing: str = "too few", *, points: bool = False) -> Child:
    """Return a change, of shares in percentage `points`, and its interval; or why it is `missing`."""
    if change is None:
        return el("span", {"class": "none"}, missing)
    if sort == "amount":
        value, low, high = (f"{min(each, 99):+.1%}" for each in change)
    elif points:
        value, low, high = (f"{rounded(100 * each, 1):+.1f}" for each in change)
    else:
        value, low, high = (f"{rounded(each, 3):+.3f}" for each in change)
    name, unit = "sure" if change.sure else "unsure", " points" if points else ""
    return el("span", {"class": name}, f"{value}{unit} ", el("small", None, f"[{low}, {high}]"))


def rounded(value: float, digits: int) -> float:
    """Return a number that is not the zero below zero."""
    return round(value, digits) + 0.0


def choose_time(wanted: Filter, path: str, **more: str) -> Html:
    """Return the choice of time; `more` stands in the addresses, too."""
    absolute = bool(wanted.begin or wanted.end)
    links = [
        _choice(wanted.link(path, since=name, **more), name, chosen=name == wanted.since and not absolute)
        for name in SPANS
    ]
    today = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday = wanted._replace(begin=today - dt.timedelta(days=1), end=today)
    of_day = _choice(yesterday.link(path, **more), "yesterday", chosen=yesterday.time == wanted.time)
    said = wanted.told()
    everything = wanted.time.link(path, **more)
    chosen = (" with ", bdi(", ".join(said)), " ", el("a", {"href": everything}, "all"))
    return el(
        "nav", {"class": "times", "aria-label": "Time"}, "The last ", links, of_day, chosen if said else None
    )  # fmt: skip


def _choice(link: str, name: str, *, chosen: bool) -> Html:
    return el("a", {"href": link, "aria-current": "true" if chosen else None}, name)


def filter_form(wanted: Filter, known: Mapping[str, Iterable[str]]) -> Html:
    """Return the filter as a form that makes an address; of each field it offers what is `known`."""
    fields = {name: _asked_for(wanted, name, known) for name in EQUAL}
    seldom = [fields.pop(name) for name in SELDOM]
    open_ = "" if any(wanted.values.get(name) for name in SELDOM) else None
    return el(
        "form",
        {"class": "filter", "method": "get", "action": "/events"},
        _time_fields(wanted),
        entered("Text has", "text", wanted.text, wanted.link("/events", text="")),
        fields.values(),
        _asked_for(wanted, "rule", known),
        select("judged", ("", *JUDGED), wanted.judged),
        select("metric", ("", *sorted(wanted.columns)), wanted.metric),
        labelled("At least", field("least", number(wanted.least), inputmode="decimal", placeholder="any")),
        labelled("At most", field("most", number(wanted.most), inputmode="decimal", placeholder="any")),
        el("details", {"class": "more", "open": open_}, el("summary", None, "More"), seldom),
        (_offered(name, values) for name, values in known.items()),
        hidden({name: value for name, value in wanted.given().items() if not is_kept(value)}),
        el("button", {"type": "submit"}, "Show"),
    )


def _time_fields(wanted: Filter) -> list[Html]:
    moments = (("from", "From (UTC)", wanted.begin), ("until", "Until (UTC)", wanted.end))
    return [
        select("since", SPANS, wanted.since, "The last"),
        *(
            labelled(said, field(name, written(moment) if moment else "", placeholder="2026-01-31 12:00"))
            for name, said, moment in moments
        ),
    ]


def _asked_for(wanted: Filter, name: str, known: Mapping[str, Iterable[str]]) -> Html:
    value = wanted.given().get(name, "")
    words = {"kind": KINDS, "action": VERDICTS}.get(name)
    if words and value in ("", *words):
        return select(name, ("", *words), value)
    more = {"list": f"known-{name}"} if name in known else {}
    return entered(_worded(name), name, value, wanted.link("/events", **{name: ""}), **more)


def entered(label: str, name: str, value: str, without: str, **more: str) -> Html:
    """Return a field for a line of text; what no field can hold is shown, with the address `without` it."""
    if is_kept(value):
        return labelled(label, field(name, value, **more))
    return el("span", None, f"{label} ", bdi(value), " ", el("a", {"href": without}, "any"))


def _offered(name: str, values: Iterable[str]) -> Html:
    """Return what a field offers while one types; languages by their names, too."""
    options = [
        el("option", {"value": value, "label": NAMES.get(value) if name == "language" else None})
        for value in sorted(filter(None, values), key=str.casefold)
        if is_kept(value)
    ]
    return el("datalist", {"id": f"known-{name}"}, options)


def kept(wanted: Filter, *but: str, **more: str) -> list[Html]:
    """Return a filter, and `more`, as hidden fields of a form, but for what the form itself asks for."""
    given = wanted.given() | more
    return hidden({name: value for name, value in given.items() if name not in but or not is_kept(value)})


def labelled(name: str, control: Html) -> Html:
    """Return a control with its name."""
    return el("label", None, name, control)


def field(name: str, value: str, **more: str) -> Html:
    """Return a field for a line of text."""
    return el("input", {"name": name, "value": value, **more})


def _worded(name: str) -> str:
    return name.replace("_", " ").capitalize()


def select(
    name: str, choices: Iterable[str], chosen: str, label: str = "", words: Mapping[str, str] = UNCHANGED
) -> Html:
    """Return a choice with its name; `words` are what choices are called, where that is something else."""
    options = [
        el(
            "option", {"value": choice, "selected": "" if choice == chosen else None},
            words.get(choice, choice) or "any",
        )
        for choice in choices
    ]  # fmt: skip
    return labelled(label or _worded(name), el("select", {"name": name}, options))


def meter(name: str, value: float) -> Html | None:
    """Return a score as a bar from 0 to 1; None for what is no share."""
    if value > 1:
        return None
    given = {"min": "0", "max": "1", "value": f"{value:.3f}", "aria-label": name}
    return el("meter", given, f"{value:.2f}")
