"""What pages are made of: tables, forms, numbers."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from streams.desk import questions
from streams.desk.filters import EQUAL, SPANS, Filter
from streams.desk.html import Child, Html, el, table

VERDICTS: Final = (
    ("correct", "a", "Right"), ("false_positive", "w", "Wrong: harmless"),
    ("false_negative", "m", "Wrong: missed"), ("unsure", "u", "Unsure"),
)  # fmt: skip
SNIPPET: Final = 160
KNOWN: Final = (
    *(
        "timestamp",
        "app",
        "event_id",
        "kind",
        "request_id",
        "conversation_id",
        "tenant",
        "environment",
        "model",
    ),
    *("provider", "prompt_name", "prompt_version", "user", "chain", "step", "finish_reason", "trace_id"),
    *("storage", "pii_types", "failed", "degraded", "policy_version", "policy_hash", "detectors_hash"),
    *("decision_id", "decision_latency_ms", "metadata"),
)
"""What an event's page shows beside text, rules and scores."""


def told(row: dict[str, Any]) -> list[Html]:
    """Return text, rules and scores of an event."""
    text = row["text"] or f"Its text is not kept (storage: {row['storage']})."
    rules = zip(
        row["rules"], row["rule_actions"], row["rule_modes"], row["rule_metrics"], row["rule_scores"],
        row["rule_failed"], strict=True,
    )  # fmt: skip
    scores = sorted(
        (
            (name, value)
            for name, value in row.items()
            if isinstance(value, float) and name not in questions.FIXED
        ),
        key=lambda each: -each[1],
    )
    return [
        el(
            "p",
            None,
            badge(row["action"]),
            f" {row['kind']} of {row['app']}, {row['timestamp']:%d %b %Y %H:%M:%S}",
        ),
        el("h2", None, "Text"),
        el("pre", {"class": "text", "tabindex": "0"}, el("bdi", None, text)),
        table(
            ("Rule", "Action", "Mode", "Metric", "Score"),
            (
                (name, badge(action), mode, metric, "its detector failed" if failed else score)
                for name, action, mode, metric, score, failed in rules
            ),
            "Rules that it tripped",
        ),
        table(
            ("Metric", "Score", ""),
            (
                (
                    name,
                    value,
                    el("meter", {"min": "0", "max": "1", "value": f"{value:.3f}"}, f"{value:.2f}"),
                )
                for name, value in scores
                if value
            ),
            "Scores",
        ),
    ]


def _meter(value: float) -> Html:
    return el("meter", {"min": "0", "max": "1", "value": f"{value:.3f}"}, f"{value:.2f}")


def judging_form(row: dict[str, Any], token: str, path: str) -> Html:
    """Return the form of a review; its keys are in `desk.js`."""
    buttons = [
        el(
            "button",
            {"name": "judgement", "value": value, "data-key": key, "type": "submit"},
            f"{name} ({key})",
        )
        for value, key, name in VERDICTS
    ]
    hidden = {"app": row["app"], "event_id": row["event_id"], "token": token}
    rules = [el("option", {"value": rule}, rule) for rule in dict.fromkeys(row["rules"])]
    later = el("a", {"href": "/review?skip=1", "data-key": "n", "class": "button"}, "Later (n)")
    return el(
        "form",
        {"method": "post", "action": path, "class": "judge"},
        (el("input", {"type": "hidden", "name": name, "value": value}) for name, value in hidden.items()),
        el(
            "label",
            None,
            "Of ",
            el("select", {"name": "metric"}, el("option", {"value": ""}, "the decision"), rules),
        ),
        el("label", None, "Comment ", el("input", {"name": "comment", "maxlength": "1000"})),
        buttons,
        later if path == "/review" else None,
    )


def listed(rows: Sequence[dict[str, Any]], caption: str, metric: str = "") -> Html:
    """Return events as a table, with the score by which they were chosen."""
    head: tuple[Child, ...] = (
        "Time",
        "App",
        "Kind",
        "Action",
        "Rules",
        "Text",
        *([metric] if metric else ()),
    )
    return table(
        head,
        (
            (
                el("a", {"href": event_path(row)}, f"{row['timestamp']:%d %b %H:%M:%S}"),
                row["app"],
                row["kind"],
                badge(row["action"]),
                ", ".join(dict.fromkeys(row["rules"])),
                el("bdi", None, row["text"][:SNIPPET] + ("…" if len(row["text"]) > SNIPPET else "")),
                *([row["score"]] if metric else ()),
            )
            for row in rows
        ),
        caption,
    )


def event_path(row: dict[str, Any]) -> str:
    """Return the address of an event."""
    return "/event?" + urlencode({"app": row["app"], "id": row["event_id"]})


def badge(name: str) -> Html:
    """Return the name of an action, in its colour."""
    return el("span", {"class": f"action {name}"}, name)


def share(part: int, whole: int) -> str:
    """Return a count and its share."""
    return f"{part:,} ({part / whole:.1%})" if whole else "0"


def tile(name: str, value: Child, link: str | None) -> Html:
    """Return one number of the overview."""
    number = el("a", {"href": link}, value) if link else el("span", None, value)
    return el("li", None, el("span", {"class": "name"}, name), number)


def choose_time(wanted: Filter, path: str) -> Html:
    """Return the choice of time."""
    links = [
        el(
            "a",
            {"href": wanted.link(path, since=name), "aria-current": "true" if name == wanted.since else None},
            name,
        )
        for name in SPANS
    ]
    apps = f" of {wanted.values['app']}" if wanted.values.get("app") else ""
    return el("nav", {"class": "times", "aria-label": "Time"}, "The last", links, apps)


def filter_form(wanted: Filter, metrics: Iterable[str]) -> Html:
    """Return the filter as a form that makes an address."""
    texts = [
        el(
            "label",
            None,
            name.replace("_", " "),
            el("input", {"name": name, "value": wanted.values.get(name, "")}),
        )
        for name in EQUAL
    ]
    return el(
        "form",
        {"class": "filter", "method": "get", "action": "/events"},
        _select("since", SPANS, wanted.since),
        texts,
        el("label", None, "rule", _input("rule", wanted.rule)),
        _select("metric", ("", *sorted(metrics)), wanted.metric),
        el(
            "label",
            None,
            "at least",
            el("input", {"name": "least", "value": f"{wanted.least:g}", "inputmode": "decimal"}),
        ),
        el("button", {"type": "submit"}, "Show"),
    )


def _input(name: str, value: str) -> Html:
    return el("input", {"name": name, "value": value})


def _select(name: str, choices: Iterable[str], chosen: str) -> Html:
    options = [
        el("option", {"value": choice, "selected": "" if choice == chosen else None}, choice)
        for choice in choices
    ]
    return el("label", None, name, el("select", {"name": name}, options))
