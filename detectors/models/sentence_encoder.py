"""The sentence encoder: what a window of text means, in sixteen languages, at some 100,000 tokens a second.

Google's universal-sentence-encoder-multilingual 3 (Yang et al. 2020, "Multilingual Universal Sentence
Encoder for Semantic Retrieval"): the embeddings of the tokens and convolutions over 2, 3 and 5 of them are
averaged, and dense layers follow. Weights and activations of the convolutions are small integers with
scales that are fixed beforehand, so their sums are exact and no window depends on its neighbours.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime
from scipy.sparse import csr_matrix

from detectors.models.embeddings import Floats
from detectors.models.network import by_rows
from detectors.steps.lanes import beat

REACH = 2
"""Tokens to either side that the widest convolution sees."""
SCALES = 17
"""The embeddings have as many scales; a token's is its id modulo this."""
CHUNK = 512
"""Tokens that are read at once, some 5 ms of one core: what is in flight stays in the cache."""
EPSILON = 1e-12
DENSE = ("pool", "pool_bias", "d0", "d1", "p1", "d2", "p3", "d3")
"""The layers after the mean."""

Ids = npt.NDArray[np.integer]
Bytes = npt.NDArray[np.uint8]


class SentenceEncoder:
    """Windows of token ids in, vectors out.

    Args:
        arrays: of a `sentence_encoder.npz`.
        projection: ONNX, from a token's embedding to what the convolutions read of it.
        convolutions: ONNX, from the tokens of several windows to the features of each token.
        threads: that read at a time; the vectors are the same.

    """

    def __init__(
        self, arrays: dict[str, npt.NDArray[Any]], projection: bytes, convolutions: bytes, threads: int = 1
    ) -> None:
        self._table: Bytes = arrays["table"]
        self._scales: Floats = arrays["scales"][:, None]
        self._lows: Floats = arrays["lows"][:, None]
        self._outside: Bytes = arrays["outside"][None]
        self._steps: Floats = arrays["steps"]
        self._dense = {name: arrays[name].astype(np.float32) for name in DENSE}
        self._projection, self._convolutions = _session(projection), _session(convolutions)
        # Filled as tokens are first seen: memory that nobody has written to costs nothing.
        self._projected: Bytes = np.empty((len(self._table), self._outside.shape[1]), np.uint8)
        self._seen = np.zeros(len(self._table), dtype=bool)
        self._each: Callable[[Callable[[Sequence[Ids]], Floats], Sequence[Sequence[Ids]]], Iterable[Floats]]
        self._each = ThreadPoolExecutor(threads, "weir-encoder").map if threads > 1 else map

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Self:
        """Return the encoder of the files in `folder`."""
        with np.load(folder / "sentence_encoder.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        projection, convolutions = (
            (folder / f"{name}.onnx").read_bytes() for name in ("projection", "convolutions")
        )
        return cls(arrays, projection, convolutions, threads)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return len(self._table)

    def projections(self, ids: Ids) -> Floats:
        """Return what the convolutions read of each token, shape (N, 768): its meaning by itself."""
        return np.asarray((self._project(ids) - self._outside.astype(np.float32)) * self._steps, np.float32)

    def features(self, windows: Sequence[Ids], deadline: float = math.inf) -> Floats:
        """Return means and sentence vectors side by side, shape (N, 1792), as `means`."""
        means = self.means(windows, deadline)
        lengths = np.fromiter(map(len, windows[: len(means)]), np.int64, len(means))
        return np.concatenate([means, self.vectors(means, lengths)], axis=1)

    def means(self, windows: Sequence[Ids], deadline: float = math.inf) -> Floats:
        """Return the mean features of the tokens of each window, shape (N, 1280).

        Less than N rows where `deadline`, by `time.monotonic`, comes first. No window may be empty.
        """
        found: list[Floats] = []
        chunks = list(_chunks(windows))
        while chunks and time.monotonic() < deadline:
            found += self._each(self._means, chunks[:SCALES])
            del chunks[:SCALES]
            beat()
        return np.concatenate(found) if found else np.empty((0, len(self._dense["pool"])), np.float32)

    def vectors(self, means: Floats, lengths: npt.NDArray[np.integer]) -> Floats:
        """Return the encoder's sentence vectors, L2-normalised, shape (N, 512), of windows of some length."""
        roots = np.sqrt(lengths).astype(np.float32)[:, None]
        return by_rows(lambda mean, root: self._last((mean @ self._dense["pool"]) * root, root), means, roots)

    def _last(self, pooled: Floats, roots: Floats) -> Floats:
        w = self._dense
        pooled = pooled + roots * w["pool_bias"]
        first = np.maximum(pooled @ w["p1"] + np.maximum(pooled @ w["d0"], 0) @ w["d1"], 0)
        vectors = np.tanh(first @ w["p3"] + np.maximum(first @ w["d2"], 0) @ w["d3"])
        norms = np.sqrt(np.maximum(np.einsum("nd,nd->n", vectors, vectors), EPSILON))
        return np.asarray(vectors / norms[:, None], dtype=np.float32)

    def _means(self, windows: Sequence[Ids]) -> Floats:
        lengths = np.fromiter(map(len, windows), np.int64, len(windows))
        ids = np.concatenate(windows)
        starts = np.append(0, np.cumsum(lengths))
        scale = ids % SCALES
        features = self._convolutions.run(
            None,
            {
                "projected": np.concatenate([self._project(ids), self._outside]),
                "embedded": self._table[ids] * self._scales[scale] + self._lows[scale],
                "places": _places(starts, lengths),
            },
        )[0]
        ones = np.ones(len(ids), np.float32)
        sums = csr_matrix((ones, np.arange(len(ids)), starts), shape=(len(windows), len(ids))) @ features
        return np.asarray(sums / lengths[:, None], dtype=np.float32)

    def _project(self, ids: Ids) -> Bytes:
        """Return what the convolutions read of each token, which does not depend on those around it."""
        new = np.unique(ids[~self._seen[ids]])
        if len(new):
            scale = new % SCALES
            inputs = {"table": self._table[new], "scale": self._scales[scale], "low": self._lows[scale]}
            self._projected[new] = self._projection.run(None, inputs)[0]
            self._seen[new] = True
        return self._projected[ids]


def _chunks(windows: Sequence[Ids]) -> Iterable[list[Ids]]:
    """Yield the windows in order, as many at a time as have `CHUNK` tokens together."""
    chunk: list[Ids] = []
    size = 0
    for window in windows:
        if chunk and size + len(window) > CHUNK:
            yield chunk
            chunk, size = [], 0
        chunk.append(window)
        size += len(window)
    if chunk:
        yield chunk


def _places(starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the tokens around each token, shape (tokens, 5); beyond its window the one after the last."""
    count = int(starts[-1])
    places = np.arange(count)[:, None] + np.arange(-REACH, REACH + 1)
    first, end = (np.repeat(bound, lengths)[:, None] for bound in (starts[:-1], starts[1:]))
    return np.where((places >= first) & (places < end), places, count)


def _session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # An arena keeps what its largest chunk took, for each session: memory that others need.
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
