"""Events: the list, and one of them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from streams.desk import unjudged
from streams.desk.asked import Asked, Found, Row
from streams.desk.filters import Filter, reaching
from streams.desk.highlight import highlighted
from streams.desk.html import Child, Html, behind, el, table
from streams.desk.layout import page
from streams.desk.pages.judging import judging_form
from streams.desk.parts import (
    badge,
    bdi,
    choose_time,
    filter_form,
    listed,
    meter,
    not_kept,
    nothing,
    same_text,
    when,
)
from streams.desk.questions import events as questions

KNOWN: Final = (
    "timestamp", "app", "event_id", "kind", "language", "request_id", "conversation_id", "tenant",
    "environment", "model", "provider", "prompt_name", "prompt_version", "user", "chain", "step",
    "finish_reason", "latency_ms", "ttft_ms", "prompt_tokens", "completion_tokens", "cost", "trace_id",
    "span_id", "storage", "pii_types", "failed", "degraded", "policy_version", "policy_hash",
    "detectors_hash", "decision_id", "decision_latency_ms", "metadata",
)  # fmt: skip
"""What an event's page shows beside text, rules and scores."""
_FILTERS: Final = frozenset(
    ("app", "language", "model", "prompt_version", "user", "conversation_id", "tenant", "policy_hash")
)
GROUPS: Final = ("user", "app", "model", "prompt_version", "tenant", "language")


def listing(asked: Asked, wanted: Filter) -> str:
    """Return a page of events."""
    found, known = asked.together(
        lambda one: questions.page(one, wanted), lambda one: questions.known(one, wanted)
    )
    older = None
    if len(found) > questions.PAGE:
        last = found[questions.PAGE - 1]
        before = f"{last['timestamp']:%Y-%m-%d %H:%M:%S.%f}"
        path = wanted.link("/events", before=before, last_app=last["app"], last_id=last["event_id"])
        older = el("p", None, el("a", {"href": path, "rel": "next"}, "Older"))
    return page(
        "Events",
        "/events",
        asked,
        choose_time(wanted, "/events"),
        filter_form(wanted, known[0]),
        _grouped(wanted) if found and not wanted.metric else None,
        listed(found, "Events", wanted.metric, most=questions.PAGE) if found else nothing(wanted, "/events"),
        older,
        time=wanted,
    )


def _grouped(wanted: Filter) -> Html:
    """Return links that count the events of the filter by what they have in common."""
    paths = {by.replace("_", " "): wanted.link("/usage", by=by, order="events") for by in GROUPS}
    links = [el("a", {"href": path}, name) for name, path in paths.items()]
    return el("nav", {"class": "times", "aria-label": "Count them"}, "Count all of these by ", links)


def event(
    asked: Asked,
    row: Row,
    known: frozenset[str],
    conditions: Mapping[str, str],
    token: str | None,
    message: str = "",
) -> str:
    """Return one event: what it says, what was decided, why, and what stands around it.

    `token` is None for who may not judge.
    """
    notice = el("p", {"class": "notice", "role": "status"}, message) if message else None
    return page(
        "Event",
        "/events",
        asked,
        notice,
        *told(asked, row, conditions),
        judging_form(row, token, "/judge", [*conditions]) if token else None,
        _opinions(asked, row),
        _conversation(asked, row),
        _similar(asked, row, known),
        _fields(row),
    )


def told(asked: Asked, row: Row, conditions: Mapping[str, str]) -> list[Child]:
    """Return text, rules and scores of an event, and where in the text the evidence is.

    `conditions` says of rules when they hit, as far as that is known.
    """
    evidence = questions.evidence(asked, row["app"], row["event_id"])
    return [
        el(
            "p", None, badge(row["action"]), f" {row['kind']} of ", bdi(row["app"]), ", ",
            when(row["timestamp"]), " UTC", *_whose(row),
        ),
        _why(row),
        _unjudged(row),
        _answer(asked, row),
        el("h2", None, "Text", behind(evidence.number)),
        _text(row, evidence),
        same_text(row),
        *_rest(row),
        _rules(row, conditions),
        _evidence(evidence),
        _scores(row),
    ]  # fmt: skip


def _whose(row: Row) -> Iterable[Child]:
    """Return whose the event is, each with the link to its other events."""
    for name in ("user", "conversation_id", "model", "prompt_version"):
        if row[name]:
            yield f", {name.removesuffix('_id').replace('_', ' ')} ", _value(name, row[name], row)


def _why(row: Row) -> Html:
    """Return in a sentence why it was decided so."""
    enforced = [
        (rule, metric, score, failed)
        for rule, mode, metric, score, failed in zip(
            row["rules"], row["rule_modes"], row["rule_metrics"], row["rule_scores"], row["rule_failed"],
            strict=True,
        )
        if mode == "enforce"
    ]  # fmt: skip
    if not enforced:
        shadow = " (rules in shadow did hit)" if row["rules"] else ""
        return el("p", {"class": "why"}, f"No rule in force hit{shadow}: it was allowed.")
    reasons = [
        f"{rule} (not fully judged)" if failed else f"{rule} ({metric} {score:.2f})" if metric else rule
        for rule, metric, score, failed in enforced
    ]
    return el("p", {"class": "why"}, f"Why {row['action']}: ", bdi("; ".join(reasons)), ".")


def _unjudged(row: Row) -> Html | None:
    """Return why the event was not fully judged, where it was not."""
    said = "; ".join(unjudged.reasons(row))
    return el("p", {"class": "notice warning"}, "Not fully judged: ", bdi(said), ".") if said else None


def _answer(asked: Asked, row: Row) -> Html | None:
    """Return what a person decided of an event that waited for one."""
    if row["action"] != "escalate":
        return None
    for found in questions.resolution(asked, row["app"], row["event_id"]):
        said = (
            f"A {found['decided_by']} answered: ",
            badge(found["action"]),
            ", ",
            when(found["decided_at"]),
        )
        return el("p", {"class": "why"}, said)
    return el("p", {"class": "why"}, "It waits for an answer: what a reviewer says of it is sent to the app.")


def _text(row: Row, evidence: Found) -> Html:
    text = row["text"]
    shown: Child = (
        highlighted(text, evidence, row["storage"]) if text else f"Its text is not kept: {not_kept(row)}."
    )
    return el(
        "pre", {"class": "text", "tabindex": "0", "role": "region", "aria-label": "Text of the event"},
        el("bdi", None, shown),
    )  # fmt: skip


def _rest(row: Row) -> list[Html]:
    """Return the other texts that came with it, folded."""
    tools = [f"{call['name']}({call['arguments']})" for call in map(_call, row["tool_calls"])]
    texts = (
        ("System prompt", [row["system_prompt"]] if row["system_prompt"] else []),
        ("Contexts", row["contexts"]),
        ("Tool calls", tools),
    )
    return [
        el(
            "details",
            None,
            el("summary", None, f"{name} ({len(given):,})"),
            (el("pre", {"class": "text", "tabindex": "0"}, bdi(text)) for text in given),
        )
        for name, given in texts
        if given
    ]


def _call(given: Any) -> Mapping[str, str]:
    return given if isinstance(given, Mapping) else {"name": given[0], "arguments": given[1]}


def _rules(row: Row, conditions: Mapping[str, str]) -> Html:
    since = reaching(row["timestamp"])
    rules = zip(
        row["rules"], row["rule_actions"], row["rule_severities"], row["rule_modes"], row["rule_metrics"],
        row["rule_scores"], row["rule_failed"], strict=True,
    )  # fmt: skip
    return table(
        ("Rule", "Action", "Severity", "Mode", "Metric", "Score", "It hits when"),
        (
            (
                el("a", {"href": Filter(since, rule=name).link("/events")}, bdi(name)), badge(action),
                severity, mode, metric, "not fully judged" if failed else score,
                el("code", None, conditions.get(name, "")),
            )
            for name, action, severity, mode, metric, score, failed in rules
        ),
        "Rules that hit",
    )  # fmt: skip


def _evidence(found: Found) -> Html | None:
    if not found:
        return None
    return table(
        ("Metric", "Kind", "What", "Weight"),
        ((each["metric"], each["label"], bdi(each["text"][:300]), each["weight"]) for each in found),
        "What the scores rest on",
        found.number,
    )


def _scores(row: Row) -> Html:
    scores = sorted(
        (
            (name, value)
            for name, value in row.items()
            if isinstance(value, float) and name not in questions.FIXED
        ),
        key=lambda each: (each[1] > 1, -each[1]),
    )
    return el(
        "details",
        {"open": ""},
        el("summary", None, "Scores"),
        table(
            ("Metric", "Score", ""),
            ((name, value, meter(name, value)) for name, value in scores if value),
            "Scores, the highest first",
        ),
    )


def _opinions(asked: Asked, row: Row) -> Html:
    found = questions.opinions(asked, row["app"], row["event_id"])
    return table(
        ("Time", "Reviewer", "Judgement", "Of", "Comment"),
        (
            (when(o["timestamp"]), bdi(o["reviewer"]), o["judgement"], bdi(o["metric"]), bdi(o["comment"]))
            for o in found
        ),
        "Reviews",
        found.number,
    )


def _conversation(asked: Asked, row: Row) -> Html | None:
    if not row["conversation_id"]:
        return None
    return listed(questions.conversation(asked, row["app"], row["conversation_id"]), "The conversation")


def _similar(asked: Asked, row: Row, known: frozenset[str]) -> Html:
    found = questions.similar(asked, row, known)
    for each in found:
        each["score"] = "the same text" if each["same"] else f"{each['apart'] ** 0.5:.3f}"
    return listed(found, "Similar events of this app", "Distance of scores")


def _fields(row: Row) -> Html:
    return table(
        ("Field", "Value"),
        ((name, _value(name, row[name], row)) for name in KNOWN if row.get(name) not in ("", None, [], {})),
        "What is known of it",
    )


def _value(name: str, value: Any, row: Row) -> Child:
    if name in _FILTERS:
        wanted = Filter(reaching(row["timestamp"]), {name: value})
        return el("a", {"href": wanted.link("/events")}, bdi(value))
    if isinstance(value, Mapping):
        return el(
            "ul", {"class": "plain"}, (el("li", None, bdi(f"{key} = {text}")) for key, text in value.items())
        )
    return bdi(", ".join(value) if isinstance(value, list) else str(value))
