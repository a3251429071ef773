"""How the demo shows things: numbers with their units, on lines that fit the terminal."""

import shutil

COUNTS = ("pii", "secrets")
"""Metrics that count findings."""
UNITS = {"latency_ms": " ms", "ttft_ms": " ms", "completion_tokens": " tokens", "prompt_tokens": " tokens"}
NARROWEST = 60
SHORTEST = 12


def columns() -> int:
    """Return the width to fill: the terminal's, and 100 where there is none."""
    return max(NARROWEST, shutil.get_terminal_size((100, 24)).columns)


def fitted(line: str, width: int) -> str:
    """Return `line`, cut to `width` characters."""
    return line if len(line) <= width else line[: width - 1] + "…"


def quoted(text: str, width: int) -> str:
    """Return `text` on one line in quotation marks, cut to `width` characters or `SHORTEST`."""
    return f"“{fitted(' '.join(text.split()), max(SHORTEST, width) - 2)}”"


def number(metric: str, value: float) -> str:
    """Return a value as its metric is read: a count, milliseconds, tokens, or a score of two decimals."""
    if metric in COUNTS or metric in UNITS:
        return f"{value:,.0f}{UNITS.get(metric, '')}"
    return f"{value:.2f}"
