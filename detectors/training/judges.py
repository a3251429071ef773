"""The heads of the first two tiers: fitted by rotation, calibrated on what was left out, fitted on all."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.models.network import Network
from detectors.models.pieces import Pieces
from detectors.models.sentence_encoder import SentenceEncoder
from detectors.training import calibration, network, rotations, sample, stack, vectors
from detectors.training.corpus import Example
from detectors.training.datasets import HEADS
from detectors.training.families import OWN_WORLD
from detectors.training.files import write_arrays, write_json

log = logging.getLogger(__name__)

SCREEN = network.Plan(hidden=64, dropout=0.1)
JUDGE = network.Plan()
OUTPUTS = ("gate", "english")
"""What the screen says beside the heads: could it be anything, and is it English."""

SURELY_ENGLISH = 1.5
"""Log-odds from which on a text counts as English: short texts of other languages look like it."""

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def train(examples: list[Example], out: Path, seed: int, kept: Path) -> None:
    """Write `judge.npz`, `screen.npz`, `cascade.npz` and `rotations.json` into `out`.

    Args:
        examples: all of them.
        out: where the weights go, and the encoder and the transformer lie.
        seed: of the descents.
        kept: vectors that were read lie here, and are not read again.

    """
    chosen = sample.sample(examples)
    log.info("%d examples of %d", len(chosen), len(examples))
    read = vectors.read(
        [example.text for example in chosen],
        SentenceEncoder.load(out),
        Pieces.load(out / "pieces.json"),
        kept,
    )
    labels = label_matrix(chosen)
    sources = np.array([example.source for example in chosen])
    weak = np.array([example.weak for example in chosen])
    plan = replace(JUDGE, seed=seed)

    def fit(rows: Mask) -> Network:
        weights = sample.weigh(labels, sources, weak, rows)
        return network.fit(read.encoder, read, labels, weights, plan, HEADS)

    def judge_without(rows: Mask) -> rotations.Judge:
        found = fit(rows)
        return lambda texts: network.scores(found, read.encoder, read, texts)

    left_out = rotations.rotate(chosen, labels, judge_without)
    np.savez(kept / "left_out.npz", log_odds=left_out.log_odds)
    scale = calibration.calibrate(left_out, left_out.log_odds)
    log_odds = left_out.log_odds * scale[0] + scale[1]
    seen = np.array([not example.held_out for example in chosen])
    write(out / "judge.npz", scaled(fit(seen), scale))
    names = (*HEADS, *OUTPUTS)
    targets = np.column_stack([labels, _gate(chosen, labels), _english(chosen)])
    weights = sample.weigh(targets, sources, weak, seen)
    plain = network.fit(read.screen, read, targets, weights, replace(SCREEN, seed=seed), names)
    unscaled = np.array([[1.0, 1.0], [0.0, -SURELY_ENGLISH]], dtype=np.float32)
    screen = scaled(plain, np.concatenate([scale, unscaled], axis=1))
    write(out / "screen.npz", screen)
    screened = network.scores(screen, read.screen, read, np.arange(len(chosen)))
    joined = stack.join(left_out, log_odds, screened, names, out)
    write_json(
        out / "rotations.json", rotations.summary(left_out, {"encoder": log_odds, "cascade": joined}, seed)
    )


def label_matrix(examples: list[Example]) -> Floats:
    """Return the labels, shape (N, heads), NaN where unknown."""
    return np.array(
        [[example.labels.get(head, np.nan) for head in HEADS] for example in examples], dtype=np.float32
    )


def scaled(found: Network, scale: Floats) -> Network:
    """Return the network with slope and shift of each output, shape (2, outputs), inside."""
    return replace(found, outer=found.outer * scale[0], outer_bias=found.outer_bias * scale[0] + scale[1])


def write(path: Path, found: Network) -> None:
    """Write a network in half precision, for `Network.load`."""
    write_arrays(
        path,
        names=np.array(found.names),
        w1=found.inner.astype(np.float16),
        b1=found.inner_bias.astype(np.float32),
        w2=found.outer.astype(np.float16),
        b2=found.outer_bias.astype(np.float32),
    )
    log.info("wrote %s", path)


def _gate(examples: list[Example], labels: Floats) -> Floats:
    """Return 1 for what is positive in any respect, 0 for ordinary text, NaN for what is hard."""
    plain = rotations.ordinary(examples) | np.array(
        [example.source.startswith(rotations.OWN_ORDINARY) for example in examples]
    )
    positive = np.nan_to_num(labels).max(axis=1) > 0.5
    return np.where(positive, 1.0, np.where(plain, 0.0, np.nan)).astype(np.float32)


def _english(examples: list[Example]) -> Floats:
    """Return 1 for English, NaN for those of our own texts that do not say."""
    mixed = (*OWN_WORLD, "written_languages")
    silent = [not e.lang and e.source.startswith(mixed) for e in examples]
    english = np.array([e.lang in {"", "en"} for e in examples])
    return np.where(silent, np.nan, english).astype(np.float32)
