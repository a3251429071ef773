"""The heads of the first two tiers: fitted by rotation, calibrated on what was left out, fitted on all."""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.models.cascade import MAX_WINDOWS
from detectors.models.network import Network
from detectors.training import buried, calibration, network, rotations, sample, stack, vectors
from detectors.training.corpus import Example
from detectors.training.datasets import HEADS
from detectors.training.families import OWN_WORLD
from detectors.training.files import write_arrays, write_json
from detectors.training.fit import beside

log = logging.getLogger(__name__)

SCREEN = network.Plan(hidden=64, epochs=5)
JUDGE = network.Plan()
ALONE = {
    "injection": network.Plan(epochs=6, dropout=0.5),
    "threat": network.Plan(hidden=64, epochs=10),
}
"""Of heads with hidden units of their own: orders in documents and threats drown beside the others."""
HIDDEN = 3.0
"""How much more the texts that hide an attack, and the same without one, weigh for injection and the gate."""
OUTPUTS = ("gate", "english")
"""What the screen says beside the heads: could it be anything, and is it English."""

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
    read = vectors.read([example.text for example in chosen], out, kept)
    labelled = Labelled.of(chosen, read)

    def without(rows: Mask) -> rotations.Judge:
        log_odds, screened = _kept(labelled, rows, seed, kept)
        return lambda texts: (log_odds[texts], screened[texts])

    left_out = rotations.rotate(chosen, labelled.labels, without)
    np.savez(kept / "left_out.npz", log_odds=left_out.log_odds, screened=left_out.screened)
    tiers = fit(labelled, np.array([not example.held_out for example in chosen]), seed)
    judged = calibration.calibrate(left_out, left_out.log_odds)
    screen = calibration.screen(left_out)
    write(out / "judge.npz", scaled(tiers.judge, judged))
    write(out / "screen.npz", scaled(tiers.screen, screen))
    log_odds = left_out.log_odds * judged[0] + judged[1]
    joined = stack.join(left_out, log_odds, left_out.screened * screen[0] + screen[1], out)
    found = rotations.summary(left_out, {"encoder": log_odds, "cascade": joined}, seed)
    write_json(out / "rotations.json", found)


@dataclass(frozen=True, slots=True)
class Labelled:
    """N examples with what is known of each."""

    read: vectors.Vectors
    labels: Floats
    """Shape (N, heads), NaN where unknown."""
    targets: Floats
    """Shape (N, outputs of the screen), the heads first."""
    sources: npt.NDArray[np.str_]
    weak: Mask
    plain: Mask
    """What is ordinary text."""
    hiding: Mask
    """What may have an attack among other text."""
    digest: bytes
    """Of the texts."""

    @classmethod
    def of(cls, examples: list[Example], read: vectors.Vectors) -> "Labelled":
        """Return the examples with their labels."""
        labels = label_matrix(examples)
        return cls(
            read,
            labels,
            np.column_stack([labels, _gate(examples, labels), _english(examples)]),
            np.array([example.source for example in examples]),
            np.array([example.weak for example in examples]),
            rotations.ordinary(examples),
            np.array([example.source.startswith(buried.HIDING) for example in examples]),
            hashlib.sha256(
                "\0".join(example.text for example in examples).encode("utf-8", "surrogatepass")
            ).digest(),
        )


@dataclass(frozen=True, slots=True)
class Tiers:
    """A screen, a judge, and the windows that the screen leaves to the judge."""

    screen: Network
    judge: Network
    read: vectors.Vectors
    """All windows."""
    near: vectors.Vectors
    """Those that the judge reads."""

    def log_odds(self, texts: vectors.Ints) -> Floats:
        """Return what the judge says of some texts, shape (texts, heads)."""
        return network.scores(self.judge, self.near.encoder, self.near, texts)

    def screened(self, texts: vectors.Ints) -> Floats:
        """Return what the screen says of some texts, shape (texts, outputs)."""
        return network.scores(self.screen, self.read.screen, self.read, texts)


def fit(known: Labelled, rows: Mask, seed: int) -> Tiers:
    """Return the tiers that have seen `rows` only.

    As when it runs, the judge reads the windows that the screen suspects most, and the highest counts.
    """
    read = known.read
    hiding = np.where(known.hiding, np.float32(HIDDEN), np.float32(1.0))[:, None]
    weights = sample.weigh(known.targets, known.sources, known.weak, rows)
    weights[:, [HEADS.index("injection"), len(HEADS)]] *= hiding
    plan = replace(SCREEN, seed=seed)
    screen = network.fit(read.screen, read, known.targets, weights, plan, (*HEADS, *OUTPUTS))
    near = read.nearest(_suspicion(screen, read, rows & known.plain), MAX_WINDOWS)
    weights = sample.weigh(known.labels, known.sources, known.weak, rows)
    judge = network.fit(near.encoder, near, known.labels, weights, replace(JUDGE, seed=seed), HEADS)
    for head, plan in ALONE.items():
        column = [HEADS.index(head)]
        labels, weight = known.labels[:, column], weights[:, column]
        if head == "injection":
            weight = weight * hiding
        alone = network.fit(near.encoder, near, labels, weight, replace(plan, seed=seed), (head,))
        judge = beside(judge, alone)
    return Tiers(screen, judge, read, near)


def _kept(known: Labelled, rows: Mask, seed: int, kept: Path) -> tuple[Floats, Floats]:
    """Return what tiers that saw `rows` only say of the other texts, zeros for `rows`: shapes (N, outputs).

    A training that was stopped goes on from what lies in the folder `kept`.
    """
    plan = f"{SCREEN} {JUDGE} {ALONE} {HIDDEN} {seed} {MAX_WINDOWS} {sample.POWER} {sample.WEAK}"
    digest = hashlib.sha256(plan.encode())
    digest.update(known.digest)
    for array in (known.targets, known.sources, known.weak, known.read.counts, rows):
        digest.update(np.ascontiguousarray(array).tobytes())
    path = kept / f"rotation-{digest.hexdigest()[:16]}.npz"
    if not path.exists():
        tiers = fit(known, rows, seed)
        others = np.flatnonzero(~rows)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, log_odds=tiers.log_odds(others), screened=tiers.screened(others))
        partial.replace(path)
    whole = [np.zeros((len(rows), len(names)), np.float32) for names in (HEADS, (*HEADS, *OUTPUTS))]
    with np.load(path) as file:
        for array, name in zip(whole, ("log_odds", "screened"), strict=True):
            array[~rows] = file[name]
    return whole[0], whole[1]


def _suspicion(screen: Network, read: vectors.Vectors, plain: Mask) -> Floats:
    """Return how much each window stands out from ordinary ones for the screen, shape (windows,)."""
    said = network.by_window(screen, read.screen, read.places)[:, : len(HEADS) + 1]
    owners = np.repeat(np.arange(len(read.counts)), read.counts)
    usual = np.quantile(said[plain[owners]], 1 - calibration.SUSPECTED, axis=0)
    return np.asarray((said - usual).max(axis=1), dtype=np.float32)


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
    english = np.array([e.english for e in examples])
    return np.where(silent, np.nan, english).astype(np.float32)
