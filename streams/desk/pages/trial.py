"""What a trial of a text or of a draft says."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from streams.desk.highlight import highlighted
from streams.desk.html import Child, Html, el, table
from streams.desk.layout import failure, page
from streams.desk.pages.policy import WARNING, backtest_form, differing, try_form
from streams.desk.parts import badge, bdi, event_path, share
from streams.policy.differences import Difference
from streams.terminal.backtest import fates

Given = Mapping[str, Any]


def tried(found: Given, token: str, text: str, kind: str) -> str:
    """Return how a text was judged."""
    decision, scores = found["decision"], found["scores"]
    shown = highlighted(found["redacted_text"], map(_piece, found["evidence"]), "redacted")
    highest = sorted(scores.items(), key=lambda each: -float(each[1]))
    return page(
        "A text, tried",
        "/policy",
        None,
        el("p", {"class": "why"}, "It would be: ", badge(decision["action"])),
        el("pre", {"class": "text", "tabindex": "0"}, el("bdi", None, shown)),
        table(
            ("Rule", "Action", "Mode", "Metric", "Score"),
            (
                (rule["rule"], badge(rule["action"]), rule["mode"], rule.get("metric", ""), rule.get("score"))
                for rule in decision.get("rules", ())
            ),
            "Rules that hit",
        ),
        table(("Metric", "Score"), ((name, float(value)) for name, value in highest if value), "Scores"),
        try_form(token, text, kind),
    )


def _piece(given: Given) -> dict[str, Any]:
    return {"metric": "", "label": "", "start": -1, "end": -1, "weight": None, "text": "", **given}


def backtested(found: Given, changes: Sequence[Difference], token: str, draft: str, since: str) -> str:
    """Return what a draft would have changed."""
    events = found["events"]
    return page(
        "A draft, tried",
        "/policy",
        None,
        _summary(found),
        [el("p", WARNING, said) for said in fates(found["demoted"])],
        differing(changes),
        _actions(found),
        table(
            ("App", "Before", "After", "Events"),
            (
                (bdi(each["app"]), badge(each["before"]), badge(each["after"]), share(each["events"], events))
                for each in found["changes"]
            ),
            "Decisions that change",
        ),
        _rules(found),
        _samples(found),
        backtest_form(token, draft, since),
    )


def refused(why: str, token: str, draft: str, since: str) -> str:
    """Return that a draft is no policy, with the draft to be put right."""
    return failure("The draft cannot be tried", why, backtest_form(token, draft, since), here="/policy")


def _summary(found: Given) -> Html:
    because = ", ".join(found["unknown_because"])
    said = [
        f"Of {found['events']:,} events {found['changed']:,} would be decided otherwise",
        f", {found['new_blocks']:,} of them blocked anew",
        f"; of {found['unknown']:,} it is not known, for what they had of {because}"
        if found["unknown"]
        else "",
        ".",
        f" How {found['alike']:,} are decided is not known, but it is the same." if found["alike"] else "",
    ]
    others = sum(found["other_detectors"].values())
    left_out = f" {others:,} events that other detectors scored are left out." if others else ""
    unscored = found["not_scored"]
    lacking = f" No event has: {', '.join(unscored)}." if unscored else ""
    return el("p", {"class": "why"}, *said, left_out, lacking)


def _actions(found: Given) -> Html:
    before, after = found["actions_before"], found["actions_after"]
    return table(
        ("Action", "Before", "With the draft"),
        ((badge(name), before.get(name, 0), after.get(name, 0)) for name in dict.fromkeys([*before, *after])),
        "Decisions",
    )


def _rules(found: Given) -> Html:
    return table(
        ("Rule", "Hits before", "With the draft", "Gained", "Lost", "Precision before", "With the draft"),
        (
            (
                rule["rule"], rule["before"], rule["after"], rule["gained"], rule["lost"],
                _share(rule["precision_before"]), _share(rule["precision_after"]),
            )
            for rule in found["rules"]
        ),
        f"Rules; {found['reviewed']:,} of the events are reviewed",
    )  # fmt: skip


def _share(given: Given | None) -> Child:
    """Return a share with its interval, where anything was reviewed."""
    if not given:
        return "not reviewed"
    return f"{given['share']:.0%}", el("small", None, f" [{given['low']:.0%}, {given['high']:.0%}]")


def _samples(found: Given) -> Html:
    return table(
        ("Event", "App", "Before", "After", "Scores"),
        (
            (
                el("a", {"href": event_path(each)}, _moment(each["timestamp"])),
                bdi(each["app"]), badge(each["before"]), badge(each["after"]),
                ", ".join(f"{name} {_number(value)}" for name, value in each["scores"].items()),
            )
            for each in found["samples"]
        ),
        "Some of the events that change",
    )  # fmt: skip


def _moment(ms: int) -> str:
    return f"{dt.datetime.fromtimestamp(ms / 1000, dt.UTC):%d %b %H:%M:%S}"


def _number(value: Any) -> str:
    return "none" if value is None else f"{float(value):.3g}"
