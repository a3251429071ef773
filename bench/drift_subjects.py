"""What texts are about, as drift detectors see it: sketches of labelled texts in seeded streams."""

import csv
import gzip
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.drift_streams import BEFORE, DAY_MS, PER_DAY
from bench.drift_subject_detectors import DETECTORS

AFTER: Final = 2_000
KINDS: Final = ("independent", "daily rhythm", "conversations")
CHAT: Final = "a channel's chat"
"""Of real people, in its own time."""
CHANGES: Final = {
    "all of them": (1.0, 0),
    "half of them": (0.5, 0),
    "a quarter": (0.25, 0),
    "all, over 1,000": (1.0, 1_000),
}
Texts = npt.NDArray[np.uint8]


class Subjects:
    """Sketches by what their texts are about, each a row of bytes, and those of a chat with their times."""

    def __init__(self, by_name: dict[str, Texts], chat: Texts, times: Sequence[int]) -> None:
        self.names = sorted(by_name)
        self._by_name = by_name
        self.chat, self.times = chat, times

    def draw(self, names: Sequence[str], which: npt.NDArray[np.int64], rng: np.random.Generator) -> Texts:
        """Return a text of `names[which[i]]` for each i."""
        pools = [self._by_name[name] for name in names]
        return np.stack([pools[n][rng.integers(len(pools[n]))] for n in which])


def subjects(data: Path, cache: Path) -> Subjects | None:
    """Return the sketches of intents and of a chat, kept in `cache` without the texts; None without them."""
    intents, chat = data / "offtopic_clinc150.csv.gz", data / "drift_ubuntu_irc.csv.gz"
    if not intents.exists() or not chat.exists():
        return None
    if not cache.exists():
        by_name: dict[str, list[str]] = {}
        for row in _rows(intents):
            by_name.setdefault(row["domain"], []).append(row["text"])
        said = [row for _, row in zip(range(40_000), _rows(chat), strict=False)]
        arrays = {name: _sketches(texts) for name, texts in by_name.items()}
        times = np.array([row["ts"] for row in said], "datetime64[ms]").astype(np.int64)
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, chat=_sketches([row["text"] for row in said]), times=times, **arrays)  # type: ignore[arg-type]
    with np.load(cache) as kept:
        names = set(kept) - {"chat", "times", "oos"}
        return Subjects({name: kept[name] for name in names}, kept["chat"], kept["times"].tolist())


def _rows(path: Path) -> Any:
    csv.field_size_limit(sys.maxsize)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def _sketches(texts: Sequence[str]) -> Texts:
    from detectors.models import SHIPPED, sketches
    from detectors.models.weights import Models

    models = Models(SHIPPED)
    made = models.part(sketches.load)
    assert made is not None
    found = [
        each
        for at in range(0, len(texts), 512)
        for each in made.of(models.embeddings.embed(models.encoder.encode(texts[at : at + 512])))
    ]
    return np.array([list(each) for each in found if each], np.uint8)


@dataclass
class Outcome:
    """What was measured of one detector."""

    alarms: dict[str, tuple[int, int]] = field(default_factory=dict)
    delays: dict[str, list[int]] = field(default_factory=dict)
    runs: int = 0
    microseconds: float = 0.0
    size: int = 0


def quiet(kind: str, count: int, found: Subjects, rng: np.random.Generator) -> Texts:
    """Return texts about four subjects whose shares stay, or go up and down every day."""
    names = [str(name) for name in rng.permutation(found.names)[:4]]
    shares = np.full((count, 4), 0.25)
    if kind == "daily rhythm":
        angle = np.arange(count) / PER_DAY * 2 * np.pi
        waves = np.stack([np.sin(angle), -np.sin(angle), np.cos(angle), -np.cos(angle)], axis=1)
        shares = (1 + 0.3 * waves) / 4
    which = (rng.random(count)[:, None] > np.cumsum(shares, axis=1)).sum(axis=1).clip(0, 3)
    if kind == "conversations":
        for at in np.flatnonzero(rng.random(count) < 0.5):
            which[at] = which[max(0, at - 1)]
    return found.draw(names, which, rng)


def change(name: str, found: Subjects, rng: np.random.Generator, before: int = BEFORE) -> Texts:
    """Return texts about three subjects, and after `before` some or all of them about another."""
    share, gradually = CHANGES[name]
    names = [str(each) for each in rng.permutation(found.names)[:4]]
    at = np.arange(before + AFTER)
    grown = np.clip((at - before) / gradually, 0, 1) if gradually else at >= before
    late = rng.random(len(at)) < share * grown
    return found.draw(names, np.where(late, 3, rng.integers(3, size=len(at))), rng)


def measure(name: str, found: Subjects, seeds: int, events: int, before: int = BEFORE) -> Outcome:
    """Run one detector over all streams."""
    outcome = Outcome(runs=seeds)
    for number, kind in enumerate((*KINDS, CHAT)):
        texts = found.chat if kind == CHAT else quiet(kind, events, found, np.random.default_rng(number))
        times = found.times if kind == CHAT else [at * (DAY_MS // PER_DAY) for at in range(len(texts))]
        detector, begun = DETECTORS[name](), time.process_time()
        alarms = sum(detector.update(text.tobytes(), now) for text, now in zip(texts, times, strict=True))
        outcome.alarms[kind] = alarms, len(texts)
        if not number:
            outcome.microseconds = (time.process_time() - begun) / len(texts) * 1e6
            outcome.size = detector.size()
    for kind in CHANGES:
        streams = [change(kind, found, np.random.default_rng((7, seed)), before) for seed in range(seeds)]
        delays = [_delay(name, stream, before) for stream in streams]
        outcome.delays[kind] = [delay for delay in delays if delay is not None]
    return outcome


def _delay(name: str, texts: Texts, before: int) -> int | None:
    detector = DETECTORS[name]()
    for at, text in enumerate(texts):
        if detector.update(text.tobytes(), at * (DAY_MS // PER_DAY)) and at >= before:
            return at - before
    return None


def markdown(outcomes: dict[str, Outcome]) -> list[str]:
    """Return the lines of the table."""
    kinds = (*KINDS, CHAT)
    lines = [
        "False alarms about subjects, and in how many quiet texts; the last column of quiet ones is real:",
        "",
        f"| | {' | '.join(kinds)} | µs per text | bytes per segment |",
        "|---|" + "---:|" * (len(kinds) + 2),
    ]
    for name, each in outcomes.items():
        cells = " | ".join(f"{alarms} in {count:,}" for alarms, count in each.alarms.values())
        lines.append(f"| {name} | {cells} | {each.microseconds:.0f} | {each.size:,} |")
    lines += [
        "",
        f"Texts that are about something else after {BEFORE:,}: how often it was found within {AFTER:,}, "
        "and after how many, in the median (the longest):",
        "",
        f"| | {' | '.join(CHANGES)} |",
        "|---|" + "---:|" * len(CHANGES),
    ]
    for name, each in outcomes.items():
        lines.append(
            f"| {name} | {' | '.join(_cell(delays, each.runs) for delays in each.delays.values())} |"
        )
    return lines


def _cell(delays: Sequence[int], runs: int) -> str:
    if not delays:
        return f"0/{runs}"
    return f"{len(delays)}/{runs}: {statistics.median(delays):,.0f} ({max(delays):,})"
