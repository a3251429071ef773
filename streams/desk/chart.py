"""Bars over time, drawn by the server: nothing runs in the browser."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from schemas.events import VERDICTS
from streams.desk.html import Child, Html, el

WIDTH, HEIGHT, GAP = 960, 160, 2
BARS: Final = 48
MIN_SLOTS: Final = 24
ORDER: Final = (*reversed(VERDICTS),)
"""From the bottom up, the strongest first: what was enforced is seen first."""


def bars(
    rows: Sequence[dict[str, Any]], hours: int, what: str, *beside: Child, until: dt.datetime | None = None
) -> Html:
    """Return stacked bars of `events` by `moment` and `action` in so many hours; titles have numbers."""
    moments: dict[dt.datetime, dict[str, int]] = {}
    for row in rows:
        moments.setdefault(row["moment"].replace(tzinfo=dt.UTC), {})[row["action"]] = row["events"]
    if not moments:
        return el("p", {"class": "none"}, f"{what}: no events in this time.", *beside)
    most = max(sum(actions.values()) for actions in moments.values())
    step = step_s(hours)
    last = until or dt.datetime.now(dt.UTC)
    # The last slot is the one that now is in, and the axis begins where the first one does.
    end = int(last.timestamp()) // step * step
    slots = max(MIN_SLOTS, min(hours * 3600 // step + 1, int(end - min(moments).timestamp()) // step + 1))
    first = dt.datetime.fromtimestamp(end - (slots - 1) * step, dt.UTC)
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
    scale = el("small", None, f" at most {most:,} in {step // 60:,} min")
    caption = el("figcaption", None, what, scale, *beside)
    return el("figure", None, caption, el("svg", box, drawn), ends, legend())


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
        "viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img",
        "aria-label": f"{what}: from {low:.3g} to {high:.3g}; the change began at {began:%d %b %H:%M} UTC",
    }  # fmt: skip
    lines = (
        el("line", {"x1": at, "x2": at, "y1": "0", "y2": str(HEIGHT), "class": "began"}),
        el("polyline", {"points": drawn, "class": "course"}),
    )
    ends = el("p", {"class": "axis"}, (el("span", None, f"{moment:%d %b %H:%M}") for moment in (first, last)))
    note = f"Lowest {low:.3g}, highest {high:.3g}; the dashed line: {began:%d %b %H:%M}."
    told = el("p", {"class": "none"}, note)
    return el("figure", None, el("figcaption", None, what, *beside), el("svg", box, lines), ends, told)
