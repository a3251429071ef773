"""The third tier: a small transformer, int8, that reads one window of tokens at a time.

Window by window, because the activations are quantised with one scale per call: in a batch a text would
score a little differently beside other texts. On one core it costs nothing, and no padding is computed.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from detectors.models.embeddings import Floats
from detectors.models.tokenizer import Tokens
from detectors.steps.lanes import beat

CLS, SEP = 101, 102
WINDOW = 126
"""Tokens that are read at once, beside `[CLS]` and `[SEP]`."""

CHUNK = 8
"""Windows between two looks at the clock, some 50 ms of one core."""

_SLOWER = "SkipLayerNormFusion"
"""A fusion of onnxruntime that takes seven times as long as the two operators that it replaces."""

Ids = npt.NDArray[np.integer]


def cores() -> int:
    """Return the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Transformer:
    """all-MiniLM-L6-v2 (Wang et al. 2020), its lower layers fine-tuned with one output per head.

    It reads `threads` windows at once; the log-odds are the same.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            model, options, ["CPUExecutionProvider"], disabled_optimizers=[_SLOWER]
        )
        details = self._session.get_modelmeta().custom_metadata_map
        self.names: tuple[str, ...] = tuple(json.loads(details["heads"]))
        self._each: Callable[[Callable[[Ids], Floats], Sequence[Ids]], Iterable[Floats]] = (
            ThreadPoolExecutor(threads, "weir-transformer").map if threads > 1 else map
        )

    @classmethod
    def load(cls, path: Path, threads: int = 1) -> Self:
        """Return the transformer of a `transformer.onnx`."""
        return cls(path.read_bytes(), threads)

    def logits(self, windows: Sequence[Ids], deadline: float = math.inf) -> Floats:
        """Return the log-odds of each head for each window of at most `WINDOW` token ids, (N, heads).

        Less than N rows where `deadline`, by `time.monotonic`, comes first.
        """
        found = np.zeros((len(windows), len(self.names)), dtype=np.float32)
        done = 0
        while done < len(windows) and time.monotonic() < deadline:
            for logits in self._each(self._read, windows[done : done + CHUNK]):
                found[done] = logits
                done += 1
            beat()
        return found[:done]

    def _read(self, ids: Ids) -> Floats:
        framed = np.empty((1, len(ids) + 2), dtype=np.int64)
        framed[0, 0], framed[0, 1:-1], framed[0, -1] = CLS, ids, SEP
        logits: Floats = self._session.run(None, {"ids": framed})[0][0]
        return logits


def window(tokens: Tokens, row: int, start: int) -> Ids:
    """Return the ids of the window of a text that begins at its token `start`."""
    first = tokens.offsets[row] + start
    return tokens.ids[first : min(first + WINDOW, tokens.offsets[row + 1])]
