"""What the embeddings are worth: intents of CLINC150 (Larson et al. 2019) by their nearest neighbour."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from detectors.models.tokenizer import Encoder, Tokens
from detectors.training.corpus import rows

Floats = npt.NDArray[np.float32]
Embed = Callable[[Tokens], Floats]


def embed_exactly(table: Floats, tokens: Tokens) -> Floats:
    """Return what `Embeddings.embed` gives for float32 token embeddings; no text may be without tokens."""
    sums = np.add.reduceat(table[tokens.ids], tokens.offsets[:-1], axis=0)
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True))


def nearest_neighbour(folder: Path, encoder: Encoder, embed: Embed) -> dict[str, Any]:
    """Return the accuracy of the nearest training text's intent, and how well its distance tells what is
    out of scope.
    """
    found = list(rows(folder, "offtopic_clinc150"))

    def vectors(source: str) -> tuple[Floats, npt.NDArray[np.str_]]:
        mine = [row for row in found if row["source"] == source]
        tokens = encoder.encode([row["text"] for row in mine])
        return embed(tokens), np.array([row["intent"] for row in mine])

    known, intents = vectors("clinc150_train")
    asked, truth = vectors("clinc150_test")
    outside, _ = vectors("clinc150_oos_test")
    similarity = asked @ known.T
    distances = 1 - np.concatenate([similarity.max(axis=1), (outside @ known.T).max(axis=1)])
    out_of_scope = np.arange(len(distances)) >= len(asked)
    return {
        "n": len(asked),
        "out_of_scope": len(outside),
        "intent_accuracy": round(float((intents[similarity.argmax(axis=1)] == truth).mean()), 4),
        "out_of_scope_auroc": round(float(metrics.roc_auc_score(out_of_scope, distances)), 4),
    }
