"""The small transformer: all-MiniLM-L6-v2, its lower layers, fine-tuned once with one output per head.

The tokens are those of the shared encoder, so that a text is tokenised once for both tiers.
"""

import logging
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from detectors.models.tokenizer import Tokens
from detectors.models.transformer import CLS, SEP, WINDOW, window
from detectors.training.curriculum import Reading
from detectors.training.embeddings import teacher_folder

log = logging.getLogger(__name__)

REPORT_SECONDS = 30.0

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to learn."""

    layers: int = 4
    batch_tokens: int = 2048
    """Padded tokens of a batch."""
    rate: float = 1.5e-4
    head_rate: float = 1e-3
    warm_up: float = 0.06
    decay: float = 0.01
    dropout: float = 0.1
    seed: int = 7


class Judge(nn.Module):  # type: ignore[misc]
    """Mean-pooled token outputs of the lower layers of the teacher, then one logit per head."""

    def __init__(self, layers: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from transformers import BertModel

        # Its own dropout would take a third of each step, and no text but our own is read twice.
        self.body: Any = BertModel.from_pretrained(
            str(teacher_folder()),
            num_hidden_layers=layers,
            add_pooling_layer=False,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        self.body.embeddings.requires_grad_(requires_grad=False)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(self.body.config.hidden_size, heads)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return logits of shape (texts, heads) for ids and mask of shape (texts, tokens)."""
        outputs = self.body(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(outputs.dtype)
        pooled = (outputs * weight).sum(1) / weight.sum(1)
        logits: torch.Tensor = self.heads(self.dropout(pooled))
        return logits


def batches(lengths: Ints, budget: int, chance: np.random.Generator) -> list[Ints]:
    """Return the rows in batches of similar length and at most `budget` padded tokens, shuffled."""
    order = np.argsort(lengths + chance.random(len(lengths)) * 4, kind="stable")
    found, start = [], 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * (lengths[order[end]] + 2) <= budget:
            end += 1
        found.append(order[start:end])
        start = end
    chance.shuffle(found)
    return found


def padded(tokens: Tokens, rows: Ints, starts: Ints) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask of the windows of some texts that begin at `starts`, between [CLS] and [SEP]."""
    pieces = [window(tokens, row, start) for row, start in zip(rows.tolist(), starts.tolist(), strict=True)]
    width = max(map(len, pieces)) + 2
    ids = np.zeros((len(pieces), width), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, piece in enumerate(pieces):
        ids[row, 0], ids[row, 1 : len(piece) + 1], ids[row, len(piece) + 1] = CLS, piece, SEP
        mask[row, : len(piece) + 2] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def loss_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean binary cross-entropy over the labels that are known (not NaN)."""
    known = ~torch.isnan(labels)
    target = torch.where(known, labels, 0.0)
    each = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)


def fine_tune(
    model: Judge, tokens: Tokens, labels: Floats, epochs: Sequence[Reading], plan: Schedule
) -> Judge:
    """Return the judge after it read the epochs.

    `labels` has the shape (texts, heads); a label is NaN where it is unknown.
    """
    torch.manual_seed(plan.seed)
    chance = np.random.default_rng(plan.seed)
    order = list(_steps(tokens, epochs, plan, chance))
    head = set(model.heads.parameters())
    body = [p for p in model.body.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        [{"params": body, "lr": plan.rate}, {"params": list(head), "lr": plan.head_rate}],
        weight_decay=plan.decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _rate(step, len(order), plan.warm_up)
    )
    model.train()
    began = told = time.monotonic()
    mean = 0.0
    for step, (rows, starts) in enumerate(order, 1):
        ids, mask = padded(tokens, rows, starts)
        with torch.autocast("cpu", torch.bfloat16, enabled=_has_bfloat16()):
            logits = model(ids, mask)
        loss = loss_of(logits.float(), torch.from_numpy(labels[rows]))
        loss.backward()
        nn.utils.clip_grad_norm_(body, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        mean += (loss.item() - mean) * max(0.01, 1 / step)
        if time.monotonic() - told > REPORT_SECONDS:
            told = time.monotonic()
            left = (told - began) / step * (len(order) - step)
            log.info("step %d of %d, loss %.4f, %.0f min left", step, len(order), mean, left / 60)
    model.eval()
    return model


def _has_bfloat16() -> bool:
    """Return whether the processor multiplies in bfloat16 (mixed precision: Micikevicius et al. 2018).

    Where it does not, oneDNN does it all the same, and a step takes four times as long as in float32.
    """
    known = torch.cpu.get_capabilities()
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _steps(
    tokens: Tokens, epochs: Sequence[Reading], plan: Schedule, chance: np.random.Generator
) -> Iterator[tuple[Ints, Ints]]:
    for reading in epochs:
        lengths = np.minimum(tokens.counts[reading.rows] - reading.starts, WINDOW)
        for batch in batches(lengths, plan.batch_tokens, chance):
            yield reading.rows[batch], reading.starts[batch]


def _rate(step: int, steps: int, warm_up: float) -> float:
    done = step / steps
    if done < warm_up:
        return done / warm_up
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))
