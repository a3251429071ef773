"""The third tier: fine-tune the transformer in phases, and export it."""

import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from detectors.models.tokenizer import Tokens
from detectors.models.transformer import WINDOW, Transformer
from detectors.training import curriculum
from detectors.training.curriculum import Phase, Reading
from detectors.training.datasets import HEADS
from detectors.training.export import write_onnx
from detectors.training.files import write_bytes
from detectors.training.pool import Pool, subset
from detectors.training.transformer import Judge, Schedule, fine_tune

log = logging.getLogger(__name__)

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


def fit_transformer(
    pool: Pool, chosen: Mask, out: Path, phases: Sequence[Phase], seed: int, checkpoints: Path | None = None
) -> Transformer:
    """Fine-tune on the examples of `chosen` and write `transformer.onnx`.

    With a folder of `checkpoints` each finished phase is kept there, and one that is there is not run again.
    """
    labels = pool.labels
    rows = np.flatnonzero(chosen & (pool.tokens.counts > 0))
    plan = Schedule(seed=seed)
    torch.manual_seed(seed)
    judge = Judge(plan.layers, len(HEADS), plan.dropout)
    done = hashlib.sha256(repr((plan, HEADS, WINDOW)).encode())
    for number, phase in enumerate(phases, 1):
        epochs = curriculum.epochs(pool, rows, phase, WINDOW, seed + number)
        done.update(repr(phase).encode())
        for reading in epochs:
            done.update(_bytes(reading, pool.tokens, labels))
        kept = checkpoints / f"phase-{number}-{done.hexdigest()[:12]}.pt" if checkpoints else None
        if kept and kept.is_file():
            log.info("phase %d is taken from %s", number, kept)
            judge.load_state_dict(torch.load(kept))
            continue
        log.info("phase %d: %d of %d texts", number, sum(len(e.rows) for e in epochs), len(rows))
        plan = replace(plan, seed=seed + number, rate=phase.rate)
        judge = fine_tune(judge, pool.tokens, labels, epochs, plan)
        if kept:
            buffer = io.BytesIO()
            torch.save(judge.state_dict(), buffer)
            write_bytes(kept, buffer.getvalue())
    write_onnx(judge, HEADS, out / "transformer.onnx")
    return Transformer.load(out / "transformer.onnx")


def _bytes(reading: Reading, tokens: Tokens, labels: Floats) -> bytes:
    """Return all that an epoch is made of, as the name of a checkpoint must change with it."""
    parts = subset(tokens, reading.rows), labels[reading.rows], reading.starts
    return b"".join(array.tobytes() for array in (parts[0].ids, parts[0].offsets, *parts[1:]))
