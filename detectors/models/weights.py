"""The models of one folder of weights, handed to whoever needs them: two sets can stand side by side."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

from detectors.models import SHIPPED
from detectors.models.cascade import Cascade
from detectors.models.embeddings import Embeddings
from detectors.models.tokenizer import Encoder

P = TypeVar("P")


class Models:
    """A folder of weights; each part is loaded once, when it is first asked for, by whichever thread.

    Args:
        folder: holds the files of `SHIPPED`, or those of the parts that are asked for.
        threads: that read at once; scores are the same.

    """

    def __init__(self, folder: Path = SHIPPED, threads: int = 1) -> None:
        self.folder = folder
        self.threads = threads
        self._parts: dict[Callable[[Models], Any], Any] = {}
        # Reentrant: a part may be made of others.
        self._lock = RLock()

    @property
    def encoder(self) -> Encoder:
        """The tokenizer."""
        return self.part(_encoder)

    @property
    def embeddings(self) -> Embeddings:
        """The static embeddings of its tokens."""
        return self.part(_embeddings)

    @property
    def cascade(self) -> Cascade:
        """The screen, the sentence encoder and the transformer, with the heads on them."""
        return self.part(_cascade)

    @property
    def digest(self) -> bytes:
        """SHA-256 of all the weights: models of the same digest give the same scores."""
        return self.part(_digest)

    def part(self, load: Callable[["Models"], P]) -> P:
        """Return what `load`, a function of some module, makes of these models: once, the first time."""
        if load not in self._parts:
            with self._lock:
                if load not in self._parts:
                    self._parts[load] = load(self)
        found: P = self._parts[load]
        return found


def _encoder(models: Models) -> Encoder:
    return Encoder.load(models.folder / "tokenizer.json")


def _embeddings(models: Models) -> Embeddings:
    return Embeddings.load(models.folder / "embeddings.npz")


def _cascade(models: Models) -> Cascade:
    return Cascade.load(models.folder, models.encoder, models.threads)


def _digest(models: Models) -> bytes:
    digest = hashlib.sha256()
    for path in sorted(models.folder.iterdir()):
        if path.suffix in {".npz", ".onnx"} or path.name in {
            "groundedness.json",
            "pieces.json",
            "tokenizer.json",
        }:
            digest.update(path.read_bytes())
    return digest.digest()
