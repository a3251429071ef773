"""The Detoxify package (https://github.com/unitaryai/detoxify) behind the protocol; needs the extra."""

import io
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np

from detectors.base import SHARE, FloatMatrix
from detectors.batch import Batch
from detectors.errors import DetectorError
from schemas.events import Evidence

Model = Literal["original", "unbiased", "multilingual", "original-small", "unbiased-small"]
MAX_CHARACTERS: Final = 8_192
"""Characters that the model's tokenizer is given; its models read 512 tokens at most."""


class DetoxifyDetector:
    """Detoxify's probabilities, one metric `detoxify_<label>` per label of its model.

    Either by name of a released model, which Detoxify downloads on first use, or offline from
    `checkpoint`, a file of Detoxify's format, with `config`, the folder that holds the Hugging Face
    config and tokenizer files. A checkpoint is a pickle: load only one that you trust.

    `threads` is the number of threads that torch uses, in the whole process. Padding is shared by the
    rows of a chunk, so that scores agree over batch sizes to about 1e-6, not to the bit.
    """

    name = "detoxify"

    def __init__(
        self,
        model: Model = "original",
        checkpoint: str | Path | None = None,
        config: str | Path | None = None,
        max_batch: int = 32,
        threads: int = 1,
    ) -> None:
        if model not in get_args(Model):
            raise DetectorError(f"detoxify has no model {model!r}: allowed are {', '.join(get_args(Model))}")
        if max_batch < 1 or threads < 1:
            raise DetectorError("max_batch and threads of the detector 'detoxify' must be at least 1")
        if (checkpoint is None) != (config is None):
            raise DetectorError("the detector 'detoxify' needs checkpoint and config together, or neither")
        self._model = _load(model, checkpoint, config, threads)
        self._max_batch = max_batch
        labels = [re.sub(r"[^a-z0-9]+", "_", label.lower()) for label in self._model.class_names]
        self.metrics = tuple(f"detoxify_{label}" for label in labels)
        self.ranges = dict.fromkeys(self.metrics, SHARE)
        self.version = f"{version('detoxify')}-{Path(checkpoint).stem if checkpoint else model}"

    def score(self, batch: Batch) -> FloatMatrix:
        """Return probabilities, shape (N, labels)."""
        scores = np.empty((len(batch), len(self.metrics)), dtype=np.float32)
        # By length, so that a chunk is padded little.
        order = sorted(range(len(batch)), key=lambda row: len(batch.texts[row]))
        for first in range(0, len(order), self._max_batch):
            rows = order[first : first + self._max_batch]
            texts = [_readable(batch.texts[row]) for row in rows]
            predicted = self._model.predict(texts)
            for column, label in enumerate(self._model.class_names):
                scores[rows, column] = predicted[label]
        return scores

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        """Return nothing: Detoxify gives no reasons."""
        return []


def _load(model: str, checkpoint: str | Path | None, config: str | Path | None, threads: int) -> Any:
    try:
        import torch
        from detoxify import Detoxify
    except ImportError as error:
        raise DetectorError(
            "the detector 'detoxify' needs its extra: `pip install '.[detoxify]'` in the checkout of weir"
        ) from error
    torch.set_num_threads(threads)
    if checkpoint is None:
        return Detoxify(model)
    for path in (Path(checkpoint), Path(str(config))):
        if not path.exists():
            raise DetectorError(f"the detector 'detoxify' finds no {path}")
    loaded = torch.load(checkpoint, map_location="cpu", weights_only=False)
    # A released checkpoint names its base model, whose config the package asks the hub for even when
    # it is given a folder; naming the folder in its place keeps it offline.
    loaded["config"]["arch"]["args"]["model_type"] = str(config)
    renamed = io.BytesIO()
    torch.save({key: loaded[key] for key in ("config", "state_dict")}, renamed)
    renamed.seek(0)
    return Detoxify(checkpoint=renamed, huggingface_config_path=str(config))


def _readable(text: str) -> str:
    """Return what can be written as UTF-8, which the tokenizers need."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
