"""Fits and measures `ungrounded` and `irrelevance`: a handful of features, weights that cannot be negative.

More features and free weights fit the sources better and unseen sources worse: the short answers of
HaluEval are right and the long ones wrong, the grounded replies of BEGIN lack an "I". What is left are
features that a wrong completion can only raise.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.groundedness import RELATION, Embed, Logistic, relation
from detectors.grounding.alignment import FEATURES, Alignment, Lexicon, words
from detectors.models.embeddings import Embeddings
from detectors.models.tokenizer import Encoder
from detectors.training import cards
from detectors.training.corpus import Example, Split, rows
from detectors.training.evaluate import report
from detectors.training.files import write_json
from detectors.training.fit import bounded, platt
from detectors.training.neighbours import write_neighbours

SUBJECT = "groundedness"
SEED = 7
L2 = 1.0
MIN_WORDS = 3
"""Words of a prompt and of a completion that say whether they belong together."""

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Table:
    """Features of N texts, which of them are positive, and where they are from."""

    features: Doubles
    positive: Bools
    sources: npt.NDArray[np.str_]
    splits: npt.NDArray[np.str_]

    @property
    def families(self) -> npt.NDArray[np.str_]:
        """The data sets of the sources: `begin` of `begin_dev_cmu`."""
        return np.array([source.partition("_")[0] for source in self.sources])

    def take(self, chosen: Bools) -> "Table":
        """Return the chosen rows."""
        return Table(self.features[chosen], self.positive[chosen], self.sources[chosen], self.splits[chosen])


def train(data: Path, out: Path) -> None:
    """Write `neighbours.npz`, `groundedness.json`, `groundedness_metrics.json` and the card's tables.

    `out` holds the tokenizer, the embeddings and the card already.
    """
    encoder, embeddings = Encoder.load(out / "tokenizer.json"), Embeddings.load(out / "embeddings.npz")
    write_neighbours(out / "neighbours.npz", encoder, embeddings)
    lexicon = Lexicon.load(out / "neighbours.npz", encoder, embeddings)
    models: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    for name, names, table in (
        ("ungrounded", FEATURES, completions(data, lexicon)),
        (
            "irrelevance",
            RELATION,
            pairs(data, lexicon, lambda texts: embeddings.embed(encoder.encode(texts))),
        ),
    ):
        model = fit(table)
        models[name] = {
            "weights": dict(zip(names, model.weights, strict=True)),
            "intercept": model.intercept,
        }
        measured[name] = {"held_out": held_out(table, model), "left_out": left_out(table)}
    write_json(out / "groundedness.json", models)
    write_json(out / "groundedness_metrics.json", measured)
    write_card(out)


def completions(data: Path, lexicon: Lexicon) -> Table:
    """Return the labelled completions beside their contexts; positive is what is not grounded."""
    found = [row for row in rows(data, SUBJECT) if words(row["text"]) and words(row["context"])]
    features = [Alignment(row["text"], [row["context"]], lexicon).features() for row in found]
    return _table(found, features, [row["grounded"] == "0" for row in found], "context")


def pairs(data: Path, lexicon: Lexicon, embed: Embed) -> Table:
    """Return every completion with its own prompt and with one of another completion of the source."""
    chance = random.Random(SEED)  # noqa: S311 (no secret)
    sources: dict[str, list[dict[str, str]]] = {}
    for row in rows(data, SUBJECT):
        if min(len(words(row["text"])), len(words(row["question"]))) >= MIN_WORDS:
            sources.setdefault(row["source"], []).append(row)
    found, prompts = [], []
    for same in sources.values():
        for row in same:
            found += [row, row]
            prompts += [row["question"], chance.choice(same)["question"]]
    other = [prompt != row["question"] for prompt, row in zip(prompts, found, strict=True)]
    features = relation([row["text"] for row in found], prompts, lexicon, embed)
    return _table(found, features, other, "question")


def _table(found: Sequence[Mapping[str, str]], features: Any, positive: Sequence[bool], group: str) -> Table:
    splits: list[Split] = [Example(row["text"], row["source"], group=row[group]).split for row in found]
    return Table(
        np.array(features, np.float64),
        np.array(positive, bool),
        np.array([row["source"] for row in found], np.str_),
        np.array(splits, np.str_),
    )


def fit(table: Table) -> Logistic:
    """Return the model of the split `fit`, calibrated on `calibrate`."""
    fitted = _solve(table.take(table.splits == "fit"))
    apart = table.take(table.splits == "calibrate")
    log_odds = (apart.features @ np.array(fitted.weights) + fitted.intercept).astype(np.float32)
    slope, intercept = platt(log_odds, apart.positive.astype(np.float32))
    weights = tuple(round(slope * weight, 6) for weight in fitted.weights)
    return Logistic(weights, round(slope * fitted.intercept + intercept, 6))


def _solve(table: Table) -> Logistic:
    """Minimise the logistic loss with an L2 penalty and weights of 0 or more; all families count alike."""
    inputs = np.column_stack([table.features, np.ones(len(table.positive))])
    width = table.features.shape[1]
    strength = np.append(np.full(width, L2), 0.0)
    lowest = (*[0.0] * width, None)
    found = bounded(inputs, table.positive, _shares(table), np.zeros(width + 1), strength, lowest)
    return Logistic(tuple(found[:width].tolist()), float(found[width]))


def _shares(table: Table) -> Doubles:
    """Return weights that add up to N, the same sum for each family and, within it, each class."""
    cells = [f"{family} {positive}" for family, positive in zip(table.families, table.positive, strict=True)]
    _, place, counts = np.unique(cells, return_inverse=True, return_counts=True)
    return np.asarray(len(cells) / len(counts) / counts[place], np.float64)


def held_out(table: Table, model: Logistic) -> dict[str, Any]:
    """Return the figures of the split `test`: of all sources, and of each."""
    test = table.take(table.splits == "test")
    parts = {"all": test} | {source: test.take(test.sources == source) for source in np.unique(test.sources)}
    return {str(name): _report(part, model) for name, part in parts.items()}


def left_out(table: Table) -> dict[str, Any]:
    """Return the figures of each family, all splits, by a model that was fitted without it."""
    return {
        str(family): _report(table.take(table.families == family), fit(table.take(table.families != family)))
        for family in np.unique(table.families)
    }


def _report(table: Table, model: Logistic) -> dict[str, Any]:
    probabilities = model.probabilities(table.features).astype(np.float32)
    return report(probabilities, table.positive.astype(np.float32))


def write_card(models: Path) -> None:
    """Put the tables of `groundedness_metrics.json` and the weights into `groundedness.md` beside them."""
    measured = json.loads((models / "groundedness_metrics.json").read_text(encoding="utf-8"))
    tables = {
        part.replace("_", "-"): "\n".join(cards.table(name, found[part]) for name, found in measured.items())
        for part in ("held_out", "left_out")
    }
    cards.fill(models / "groundedness.md", tables | {"weights": _weights(models)})


def _weights(models: Path) -> str:
    content = json.loads((models / "groundedness.json").read_text(encoding="utf-8"))
    lines = ["| metric | feature | log-odds |", "|---|---|---|"]
    for name, model in content.items():
        features = model["weights"] | {"intercept": model["intercept"]}
        lines += [f"| {name} | {feature} | {value:.2f} |" for feature, value in features.items()]
    return "\n".join(lines)
