"""Whether a completion rests on its contexts, and whether it answers its prompt."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from detectors.base import SHARE, UNLIKELY, FloatMatrix
from detectors.batch import Batch
from detectors.grounding.alignment import Alignment, Lexicon, SupportedSpan, lexicon_of
from detectors.models.weights import Models
from schemas.events import Event, Evidence

WORDS: Final = 10
"""Words of evidence."""

Doubles = npt.NDArray[np.float64]
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts to L2-normalised embeddings, shape (N, D)."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """Log-odds that are a weighted sum of features."""

    weights: tuple[float, ...]
    intercept: float

    def probabilities(self, features: Doubles) -> Doubles:
        """Return probabilities, shape (N,), of features of shape (N, len(weights))."""
        log_odds = (features * np.array(self.weights)).sum(axis=1) + self.intercept
        return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -500, 500))))


@dataclass(frozen=True, slots=True)
class Logistics:
    """The fitted weights of both metrics."""

    ungrounded: Logistic
    irrelevance: Logistic

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the weights of a `groundedness.json`."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            *(
                Logistic(tuple(content[name]["weights"].values()), content[name]["intercept"])
                for name in ("ungrounded", "irrelevance")
            )
        )


def logistics_of(models: Models) -> Logistics:
    """Return the weights that come with the models; see `Models.part`."""
    return Logistics.load(models.folder / "groundedness.json")


class GroundednessDetector:
    """Judges completions by their words; prompts are NaN.

    - `ungrounded`: calibrated probability that the completion says something its contexts do not support;
      NaN without contexts or without words.
    - `irrelevance`: calibrated probability, at even odds, that the completion answers another prompt than
      its `prompt`; NaN without one.

    Both compare words, not meanings: a wrong claim made of the right words looks grounded, a free
    paraphrase looks ungrounded.
    """

    name = "groundedness"
    version = "1"
    metrics = ("ungrounded", "irrelevance")
    ranges = dict.fromkeys(metrics, SHARE)

    def __init__(self, models: Models) -> None:
        self._logistics = models.part(logistics_of)
        self._lexicon = models.part(lexicon_of)
        self._encoder, self._embeddings = models.encoder, models.embeddings

    def score(self, batch: Batch) -> FloatMatrix:
        """Return probabilities, shape (len(batch), 2)."""
        scores = np.full((len(batch), len(self.metrics)), np.nan, dtype=np.float32)
        alignments = {
            row: found for row, event in enumerate(batch.events) if (found := self._alignment(event))
        }
        if alignments:
            features = np.array([found.features() for found in alignments.values()])
            scores[list(alignments), 0] = self._logistics.ungrounded.probabilities(features)
        if prompts := {row: prompt for row, event in enumerate(batch.events) if (prompt := _prompt(event))}:
            rows = list(prompts)
            completions = [batch.texts[row] for row in rows]
            features = relation(completions, list(prompts.values()), self._lexicon, self._embed)
            scores[rows, 1] = self._logistics.irrelevance.probabilities(features)
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return what each score from `UNLIKELY` on rests on.

        `ungrounded`: the least supported sentence, labelled `sentence`, then up to `WORDS` words without
        support, labelled `word`; weights are shares without support, 0 to 1.
        `irrelevance`: the features of `relation`; never words, since the prompt is not kept.
        """
        event = batch.events[row]
        found: list[Evidence] = []
        if alignment := self._alignment(event):
            features = np.array([alignment.features()])
            if self._logistics.ungrounded.probabilities(features)[0] >= UNLIKELY:
                found += self._evidence(event.text, alignment)
        if prompt := _prompt(event):
            features = relation([event.text], [prompt], self._lexicon, self._embed)
            if self._logistics.irrelevance.probabilities(features)[0] >= UNLIKELY:
                found += [
                    Evidence(detector=self.name, metric="irrelevance", label=label, weight=round(value, 4))
                    for label, value in zip(LABELS, features[0].tolist(), strict=True)
                ]
        return found

    def _embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return self._embeddings.embed(self._encoder.encode(texts))

    def _alignment(self, event: Event) -> Alignment | None:
        if event.kind != "completion" or not event.contexts:
            return None
        found = Alignment(event.text, event.contexts, self._lexicon)
        return found if found.applies else None

    def _evidence(self, text: str, alignment: Alignment) -> Iterator[Evidence]:
        worst = sorted(alignment.sentences(), key=lambda span: span.support)[:1]
        missing = sorted(alignment.unsupported(), key=lambda span: span.support)[:WORDS]
        yield from (self._item("sentence", text, span) for span in worst)
        yield from (self._item("word", text, span) for span in missing)

    def _item(self, label: str, text: str, span: SupportedSpan) -> Evidence:
        return Evidence(
            detector=self.name,
            metric=self.metrics[0],
            label=label,
            start=span.start,
            end=span.end,
            weight=round(1.0 - span.support, 4),
            text=text[span.start : span.end],
        )


RELATION: Final = ("distance", "completion", "prompt")
"""Given by `relation`: the cosine distance, and what is new in either text beside the other."""
LABELS: Final = ("distance", "new in the completion", "not taken up from the prompt")
"""How evidence names them."""


def relation(completions: Sequence[str], prompts: Sequence[str], lexicon: Lexicon, embed: Embed) -> Doubles:
    """Return the features of pairs of a completion and its prompt, shape (N, len(RELATION))."""
    products = (embed(completions) * embed(prompts)).sum(axis=1)
    novelties = [
        (Alignment(one, [other], lexicon).novelty(), Alignment(other, [one], lexicon).novelty())
        for one, other in zip(completions, prompts, strict=True)
    ]
    return np.column_stack([1.0 - products, np.array(novelties)]).astype(np.float64)


def _prompt(event: Event) -> str | None:
    asked = event.kind == "completion" and event.prompt.strip() and event.text.strip()
    return event.prompt if asked else None
