"""Results as Markdown, and their place in a page. Pure."""

import datetime as dt
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Results:
    """What was measured on one broker."""

    broker: str
    rates: dict[str, list[float]] = field(default_factory=dict)
    """Events per second of each run, by what was measured; the first is what the others are compared to."""
    latencies_ms: list[float] = field(default_factory=list)
    """From publish to decision seen, at a steady rate."""
    stages: dict[str, float] = field(default_factory=dict)
    """Milliseconds of the guard per 1,000 events, by stage."""
    detectors: dict[str, float] = field(default_factory=dict)
    """Milliseconds per 1,000 events, by detector."""


@dataclass(frozen=True)
class Setup:
    """What was measured with."""

    events: int
    words: float
    """Of a text, in the mean."""
    repeats: int
    rate: float
    """Events per second of the latency run."""
    seconds: float
    """Of the latency run."""
    machine: str
    date: dt.date


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1_000_000) * len(ordered) // 1_000_000) - 1)]


def markdown(setup: Setup, results: Sequence[Results]) -> str:
    """Return the whole of what is measured, as Markdown."""
    many = f"medians of {setup.repeats} runs" if setup.repeats > 1 else "one run"
    lines = [
        f"Measured on {setup.date.isoformat()}: {setup.machine}. {setup.events:,} events per run, "
        f"{setup.words:.0f} words each in the mean; {many}.",
        "",
        *throughput(results),
        "",
        *latency(setup, results),
    ]
    detailed = next((result for result in results if result.detectors), None)
    if detailed is not None:
        lines += [
            "",
            *costs("detector", detailed.detectors),
            "",
            *costs("stage of the guard", detailed.stages),
        ]
    return "\n".join(lines)


def throughput(results: Sequence[Results]) -> list[str]:
    """Return a table of events per second, absolute and as a share of the first row's."""
    names = list(dict.fromkeys(name for result in results for name in result.rates))
    lines = header(["events/s", *(f"{result.broker} | share" for result in results)])
    for name in names:
        cells = []
        for result in results:
            base = statistics.median(next(iter(result.rates.values())))
            runs = result.rates.get(name)
            cells += (
                [f"{statistics.median(runs):,.0f}", f"{statistics.median(runs) / base:.3f}"]
                if runs
                else ["", ""]
            )
        lines.append(row([name, *cells]))
    return lines


def latency(setup: Setup, results: Sequence[Results]) -> list[str]:
    """Return a table of the time from publish to decision."""
    title = f"publish to decision, ms, at {setup.rate:.0f} events/s for {setup.seconds:.0f} s"
    lines = header([title, "p50", "p99", "slowest", "events"])
    for result in results:
        found = result.latencies_ms
        values = (percentile(found, 0.5), percentile(found, 0.99), max(found))
        lines.append(row([result.broker, *(f"{value:.1f}" for value in values), f"{len(found):,}"]))
    return lines


def costs(what: str, milliseconds: Mapping[str, float]) -> list[str]:
    """Return a table of milliseconds per 1,000 events, the dearest first."""
    ordered = sorted(milliseconds.items(), key=lambda item: -item[1])
    return [*header([what, "ms per 1,000 events"]), *(row([name, f"{ms:.1f}"]) for name, ms in ordered)]


def insert(page: str, text: str, name: str = "measured") -> str:
    """Return `page` with `text` between the markers of this name; `ValueError` if it has no such markers."""
    first, last = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"the page needs the lines {first} and {last}")
    return f"{before}{first}\n\n{text}\n\n{last}{after}"


def header(names: Iterable[str]) -> list[str]:
    """Return the head of a table; the first column stands left, the others right."""
    cells = " | ".join(names)
    columns = cells.count("|") + 1
    return [f"| {cells} |", "|" + "|".join(["---", *["---:"] * (columns - 1)]) + "|"]


def row(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"
