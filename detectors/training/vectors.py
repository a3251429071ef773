"""What the sentence encoder says about the windows of all examples, read once and kept on disk."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.models.cascade import worth_reading
from detectors.models.embeddings import Floats
from detectors.models.pieces import Pieces
from detectors.models.sentence_encoder import SentenceEncoder
from detectors.models.windows import BLOCK, windows

log = logging.getLogger(__name__)

PART = 4000
"""Texts that are read at a time, and kept in one file."""
MOST = 16
"""Windows of a text that are read, its first: what labels a text is rarely further down."""
ENCODER = ("sentence_encoder.npz", "projection.onnx", "convolutions.onnx", "pieces.json")
"""Files on which the vectors depend."""

Halves = npt.NDArray[np.float16]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Windows of N texts, in order; a text has one or more."""

    encoder: Halves
    """Shape (windows, 1792): the features that the heads read."""
    screen: Halves
    """Shape (windows, 768): the mean projection of the tokens, which the screen reads."""
    counts: Ints
    """Shape (N,): windows of each text."""
    places: Ints
    """Shape (sum of counts,): where each of these windows is among all that were read."""

    def rows(self, texts: Ints) -> Ints:
        """Return the windows of some texts, in the order of the texts."""
        return np.asarray(self.places[_rows(self.counts, texts)])

    def nearest(self, suspicion: Floats, most: int) -> "Vectors":
        """Return the vectors with the `most` windows of each text for which `suspicion` is highest.

        `suspicion` has the shape of `places`.
        """
        texts = np.repeat(np.arange(len(self.counts)), self.counts)
        limits = np.full(len(self.counts), most)
        kept = worth_reading(suspicion - suspicion.min(initial=0.0), texts, limits)
        return replace(
            self,
            counts=np.bincount(texts[kept], minlength=len(self.counts)).astype(np.int64),
            places=self.places[kept],
        )


def read(texts: Sequence[str], folder: Path, kept: Path) -> Vectors:
    """Return the vectors of texts by the encoder in `folder`; what lies below `kept` is not read again."""
    kept = kept / _place(folder)
    kept.mkdir(parents=True, exist_ok=True)
    keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
    known = _known(kept)
    new = list({key: text for key, text in zip(keys, texts, strict=True) if key not in known}.items())
    if new:
        encoder, pieces = SentenceEncoder.load(folder), Pieces.load(folder / "pieces.json")
    for start in range(0, len(new), PART):
        part = new[start : start + PART]
        found = _read([text for _, text in part], encoder, pieces)
        path = kept / f"vectors-{part[0][0][:16]}.npz"
        np.savez(
            path.with_suffix(".partial.npz"),
            keys=np.array([key for key, _ in part]),
            encoder=found.encoder,
            screen=found.screen,
            counts=found.counts,
        )
        path.with_suffix(".partial.npz").replace(path)
        log.info("read %d of %d texts", start + len(part), len(new))
    return _gathered(keys, kept)


def _place(folder: Path) -> str:
    """Return a name that changes with whatever the vectors depend on beside the texts."""
    digest = hashlib.sha256(f"{BLOCK} {MOST}".encode())
    for name in ENCODER:
        digest.update((folder / name).read_bytes())
    return f"vectors-{digest.hexdigest()[:16]}"


def _rows(all_counts: Ints, texts: Ints) -> Ints:
    starts, counts = np.cumsum(all_counts) - all_counts, all_counts[texts]
    begins = np.cumsum(counts) - counts
    return np.asarray(np.repeat(starts[texts] - begins, counts) + np.arange(counts.sum()))


def _files(kept: Path) -> list[Path]:
    return sorted(path for path in kept.glob("vectors-*.npz") if ".partial" not in path.name)


def _known(kept: Path) -> set[str]:
    known: set[str] = set()
    for path in _files(kept):
        with np.load(path) as file:
            known.update(file["keys"].tolist())
    return known


def _gathered(keys: Sequence[str], kept: Path) -> Vectors:
    """Return the vectors of the texts of these keys from the files of `kept`."""
    wanted = set(keys)
    parts: list[tuple[Halves, Halves]] = []
    places: dict[str, tuple[int, int]] = {}
    done = 0
    for path in _files(kept):
        with np.load(path) as file:
            names, counts = file["keys"].tolist(), file["counts"]
            used = [row for row, key in enumerate(names) if key in wanted and key not in places]
            rows = _rows(counts, np.array(used, np.int64))
            for row in used:
                places[names[row]] = done, int(counts[row])
                done += int(counts[row])
            parts.append((file["encoder"][rows], file["screen"][rows]))
    begins, counts = np.array([places[key] for key in keys], dtype=np.int64).reshape(-1, 2).T
    rows = np.repeat(begins - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    encoder, screen = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Vectors(encoder, screen, counts, rows)


def _read(texts: Sequence[str], encoder: SentenceEncoder, pieces: Pieces) -> Vectors:
    tokens = pieces.encode(texts)
    spans = windows(tokens)
    number = np.arange(len(spans)) - np.searchsorted(spans.texts, spans.texts)
    chosen = np.flatnonzero(number < MOST)
    ids = [spans.ids(tokens, row) for row in chosen.tolist()]
    encoded = encoder.features(ids)
    used, place = np.unique(np.concatenate(ids), return_inverse=True)
    projected = encoder.projections(used).astype(np.float32)
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    sums = np.add.reduceat(projected[place], np.cumsum(lengths) - lengths, axis=0)
    counts = np.bincount(spans.texts[chosen], minlength=len(texts))
    return Vectors(
        encoded.astype(np.float16),
        (sums / lengths[:, None]).astype(np.float16),
        counts.astype(np.int64),
        np.arange(len(chosen)),
    )
