"""Bars over time, drawn by the server: nothing runs in the browser."""

import datetime as dt
import math
from collections.abc import Sequence
from typing import Any, Final

from schemas.events import VERDICTS
from streams.desk.html import Child, Html, el, moment_text

WIDTH, HEIGHT, GAP = 960, 160, 2
MOST_BARS: Final = 60
STEPS: Final = (60, 120, 300, 600, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800)
"""Seconds that a bar may stand for."""
ORDER: Final = (*reversed(VERDICTS),)
"""From the bottom up, the strongest first: what was enforced is seen first."""


def bars(
    rows: Sequence[dict[str, Any]], begin: dt.datetime, end: dt.datetime, what: str, *beside: Child
) -> Html:
    """Return stacked bars of `events` by `moment` and `action` from `begin` to `end`; titles have numbers.

    The axis is all of that time, wherever in it there are events.
    """
    moments: dict[dt.datetime, dict[str, int]] = {}
    for row in rows:
        moments.setdefault(row["moment"].replace(tzinfo=dt.UTC), {})[row["action"]] = row["events"]
    if not moments:
        return el("p", {"class": "none"}, f"{what}: no events in this time.", *beside)
    most = max(sum(actions.values()) for actions in moments.values())
    step = step_s(end - begin)
    # Whole slots: from the one that the beginning is in to the one that the end is in.
    first = dt.datetime.fromtimestamp(int(begin.timestamp()) // step * step, dt.UTC)
    slots = max(1, math.ceil((end - first).total_seconds() / step))
    wide = WIDTH / slots
    drawn = [
        _stack(moment, actions, (moment - first).total_seconds() / step * wide, wide - GAP, most)
        for moment, actions in moments.items()
    ]
    box = {
        "viewBox": f"0 0 {WIDTH} {HEIGHT}",
        "preserveAspectRatio": "none",
        "role": "img",
        "aria-label": f"{what}, at most {most:,} at once",
    }
    scale = el("small", None, f" at most {most:,} in {_worded(step)}")
    caption = el("figcaption", None, what, scale, *beside)
    none = None
    if (earliest := min(moments)) >= first + 2 * dt.timedelta(seconds=step):
        none = el("p", {"class": "none"}, f"None of these before {moment_text(earliest)} in this time.")
    return el("figure", None, caption, el("svg", box, drawn), _axis(first, end), none, legend())


def step_s(length: dt.timedelta) -> int:
    """Return the seconds of one bar."""
    whole = length.total_seconds()
    return next((step for step in STEPS if whole <= MOST_BARS * step), math.ceil(whole / MOST_BARS))


def _worded(step: int) -> str:
    for name, seconds in (("d", 86_400), ("h", 3_600)):
        if step >= seconds:
            return f"{step / seconds:g} {name}"
    return f"{step // 60:,} min"


def _axis(first: dt.datetime, last: dt.datetime) -> Html:
    moments = (first, first + (last - first) / 2, last)
    return el("p", {"class": "axis"}, (el("span", None, moment_text(each)) for each in moments))


def _stack(moment: dt.datetime, actions: dict[str, int], x: float, wide: float, most: int) -> Html:
    told = ", ".join(f"{actions[name]:,} {name}" for name in ORDER if name in actions)
    y, parts = float(HEIGHT), [el("title", None, f"{moment_text(moment)}: {told}")]
    for name in (*ORDER, *sorted(actions.keys() - set(ORDER))):
        if high := actions.get(name, 0) / most * HEIGHT:
            y -= high
            place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{wide:.1f}", "height": f"{high:.1f}"}
            parts.append(el("rect", place | {"class": f"fill-{name}"}))
    return el("g", None, parts)


def legend() -> Html:
    """Return what the colours stand for."""
    return el("p", {"class": "legend"}, (el("span", {"class": f"action {name}"}, name) for name in ORDER))


def course(rows: Sequence[dict[str, Any]], began: dt.datetime, what: str, *beside: Child) -> Html:
    """Return a line of `mean` by `moment`, with a mark where something began."""
    points = [(row["moment"].replace(tzinfo=dt.UTC), float(row["mean"])) for row in rows]
    if len(points) < 2:
        return el("p", {"class": "none"}, f"{what}: too few values to draw.", *beside)
    first, last = points[0][0], points[-1][0]
    low, high = min(value for _, value in points), max(value for _, value in points)
    width, height = (last - first).total_seconds() or 1.0, (high - low) or 1.0

    def x(moment: dt.datetime) -> float:
        return float(min(1.0, max(0.0, (moment - first).total_seconds() / width)) * WIDTH)

    drawn = " ".join(
        f"{x(moment):.1f},{(1 - (value - low) / height) * (HEIGHT - 20) + 10:.1f}" for moment, value in points
    )
    at = f"{x(began):.1f}"
    box = {
        "viewBox": f"0 0 {WIDTH} {HEIGHT}", "preserveAspectRatio": "none", "role": "img",
        "aria-label": f"{what}: from {low:.3g} to {high:.3g}; the change began at {moment_text(began)} UTC",
    }  # fmt: skip
    lines = (
        el("line", {"x1": at, "x2": at, "y1": "0", "y2": str(HEIGHT), "class": "began"}),
        el("polyline", {"points": drawn, "class": "course"}),
    )
    note = f"Lowest {low:.3g}, highest {high:.3g}; the dashed line: {moment_text(began)}."
    told = el("p", {"class": "none"}, note)
    caption = el("figcaption", None, what, *beside)
    return el("figure", None, caption, el("svg", box, lines), _axis(first, last), told)
