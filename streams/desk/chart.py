"""Bars over time, drawn by the server: nothing runs in the browser."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from streams.desk.html import Html, el

WIDTH, HEIGHT, GAP = 960, 160, 2
BARS: Final = 48
MIN_SLOTS: Final = 24
ORDER: Final = ("block", "escalate", "redact", "flag", "allow")
"""From the bottom up: what was enforced is seen first."""


def bars(rows: Sequence[dict[str, Any]], hours: int, what: str) -> Html:
    """Return stacked bars of `events` by `moment` and `action` in the last `hours`; titles have numbers."""
    moments: dict[dt.datetime, dict[str, int]] = {}
    for row in rows:
        moments.setdefault(row["moment"].replace(tzinfo=dt.UTC), {})[row["action"]] = row["events"]
    if not moments:
        return el("p", {"class": "none"}, f"{what}: no events in this time.")
    most = max(sum(actions.values()) for actions in moments.values())
    step = step_s(hours)
    last = dt.datetime.now(dt.UTC)
    first = max(last - dt.timedelta(hours=hours), min(moments))
    slots = max(MIN_SLOTS, int((last - first).total_seconds() / step) + 1)
    wide = WIDTH / slots
    drawn = [
        _stack(moment, actions, (moment - first).total_seconds() / step * wide, wide - GAP, most)
        for moment, actions in moments.items()
    ]
    box = {
        "viewBox": f"0 0 {WIDTH} {HEIGHT}",
        "role": "img",
        "aria-label": f"{what}, at most {most:,} at once",
    }
    ends = el("p", {"class": "axis"}, (el("span", None, f"{moment:%d %b %H:%M}") for moment in (first, last)))
    return el("figure", None, el("figcaption", None, what), el("svg", box, drawn), ends, legend())


def step_s(hours: int) -> int:
    """Return the seconds of one bar."""
    return max(60, hours * 3600 // BARS)


def _stack(moment: dt.datetime, actions: dict[str, int], x: float, wide: float, most: int) -> Html:
    told = ", ".join(f"{actions[name]:,} {name}" for name in ORDER if name in actions)
    y, parts = float(HEIGHT), [el("title", None, f"{moment:%d %b %H:%M}: {told}")]
    for name in (*ORDER, *sorted(actions.keys() - set(ORDER))):
        if high := actions.get(name, 0) / most * HEIGHT:
            y -= high
            place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{wide:.1f}", "height": f"{high:.1f}"}
            parts.append(el("rect", place | {"class": f"fill-{name}"}))
    return el("g", None, parts)


def legend() -> Html:
    """Return what the colours stand for."""
    return el("p", {"class": "legend"}, (el("span", {"class": f"action {name}"}, name) for name in ORDER))
