"""Plain statistics of a text: length, tokens, repetition, invisible characters."""

import unicodedata
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from detectors.base import COUNT, SHARE, FloatMatrix
from detectors.batch import Batch
from detectors.deobfuscation.characters import invisible
from detectors.limits import EVIDENCE_LIMIT, SCAN_LIMIT
from detectors.models.tokenizer import MAX_CHARACTERS, Tokens, Words
from schemas.events import Evidence

RECURRING = 8
"""Trigrams in a row, at most, that evidence of repetition shows."""
_TOKEN_BITS = 15  # three of the 30,522 tokens and the number of the row share 64 bits


class TextDetector:
    """Statistics of each text, none of them a probability.

    - `text_length`: length in characters (code points).
    - `text_tokens`: tokens of the shared vocabulary in the first `encoder.MAX_CHARACTERS` characters.
    - `text_repetition`: share, 0 to 1, of the token trigrams that stood in the same text before; 0 for a
      text of less than four tokens. A low share of distinct n-grams is how degenerate generation is
      measured: Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training" (seq-rep-n).
    - `text_invisible`: zero-width, bidirectional, tag and other format characters, those left out that
      emoji and the spelling of Arabic and Indic scripts need; in the first `SCAN_LIMIT` characters.
    - `text_non_ascii`: share of characters outside ASCII, 0 to 1.
    - `text_unjudged`: characters that no detector looks at: those beyond `MAX_CHARACTERS`, or beyond the
      excerpt where only that is read.
    """

    name = "text"
    version = "1"
    metrics = (
        *("text_length", "text_tokens", "text_repetition", "text_invisible", "text_non_ascii"),
        "text_unjudged",
    )
    ranges = dict.fromkeys(metrics, COUNT) | dict.fromkeys(("text_repetition", "text_non_ascii"), SHARE)
    needs = ("tokens",)

    def score(self, batch: Batch) -> FloatMatrix:
        """Return the statistics, shape (N, 6)."""
        scores = np.zeros((len(batch), len(self.metrics)), dtype=np.float32)
        read = np.fromiter(map(len, batch.texts), dtype=np.int64, count=len(batch))
        scores[:, 0] = batch.lengths
        scores[:, 5] = batch.lengths - np.minimum(read, MAX_CHARACTERS)
        scores[:, 1] = batch.tokens.counts
        scores[:, 2] = _repetition(batch.tokens)
        for row, text in enumerate(batch.texts):
            if not text.isascii():
                scores[row, 3] = len(invisible(text[:SCAN_LIMIT]))
                scores[row, 4] = 1 - len(text.encode("ascii", "ignore")) / len(text)
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return the invisible characters, each with its name, the words that recur the most, and what is
        beyond the limit; the other statistics explain themselves."""
        text = batch.texts[row]
        found = [
            Evidence(
                detector=self.name,
                metric="text_invisible",
                label=unicodedata.name(text[position], f"U+{ord(text[position]):04X}"),
                start=position,
                end=position + 1,
            )
            for position in invisible(text[:SCAN_LIMIT])[:EVIDENCE_LIMIT]
        ]
        if recurring := self._recurring(text, batch.tokens.of(row), partial(batch.words, row)):
            found.append(recurring)
        read, length = min(len(text), MAX_CHARACTERS), int(batch.lengths[row])
        if length > read:
            found.append(Evidence(detector=self.name, metric="text_unjudged", start=read, end=length))
        return found

    def _recurring(self, text: str, tokens: Tokens, words: Callable[[], Words]) -> Evidence | None:
        """Return what recurs the most: three tokens in a row or more, as whole words."""
        _, places, counts = np.unique(_trigrams(tokens), return_inverse=True, return_counts=True)
        times = counts[places]
        if not len(times) or times.max() == 1:
            return None
        at = int(times.argmax())
        less = np.flatnonzero(times[at : at + RECURRING] < times[at])
        last = at + (int(less[0]) if len(less) else len(times[at : at + RECURRING])) + 1
        span = words().span(at, last)
        return Evidence(
            detector=self.name,
            metric="text_repetition",
            label=f"{times[at]} times",
            start=span.start,
            end=span.stop,
            text=text[span],
        )


def _repetition(tokens: Tokens) -> npt.NDArray[np.float64]:
    """Return the share of repeated token trigrams of each row, shape (N,)."""
    keys = np.sort(_trigrams(tokens))
    repeated = keys[1:] == keys[:-1]
    repeats = np.bincount(keys[1:][repeated] >> 3 * _TOKEN_BITS, minlength=len(tokens))
    return repeats / np.maximum(tokens.counts - 2, 1)


def _trigrams(tokens: Tokens) -> npt.NDArray[np.int64]:
    """Return the row and the tokens of every three tokens in a row of a text, as one number."""
    rows = np.repeat(np.arange(len(tokens)), tokens.counts)
    ids = tokens.ids.astype(np.int64)
    keys = rows[2:] << 3 * _TOKEN_BITS | ids[:-2] << 2 * _TOKEN_BITS | ids[1:-1] << _TOKEN_BITS | ids[2:]
    return np.asarray(keys[rows[2:] == rows[:-2]])
