"""Generalisation: whole families of sources are left out, every one once, and then judged.

A random split flatters: texts of one source share its style and its annotators (Kohavi's cross-validation,
by groups). What is judged here is judged by heads that saw no text of its family.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.training import evaluate, families
from detectors.training.corpus import Example
from detectors.training.datasets import HEADS
from detectors.training.families import NOTICES, OWN_WORLD
from detectors.training.more import ORDINARY

log = logging.getLogger(__name__)

MOST = 300
"""Texts of a source and a class that are ranked, so that no large source decides."""
FEWEST = 25
"""Positive and negative texts of a family that is reported by itself."""
FEWEST_OF_LANGUAGE = 60
SHORT = "short notices"
"""Named as if it were a language of ordinary texts."""
FEWEST_FOUND = 20
"""Positive texts of a language and a head."""
THRESHOLDS = (0.5, 0.9)
PROMPTS = ("injection", "harmful_request")
"""Heads of which a family's positive texts are ranked among the negatives of all that is left out with it."""
STATED = {
    "injection": "injection",
    "harmful_request": "harmful_requests",
    "refusal": "refusal",
    "bias_stereotype": "bias",
    **dict.fromkeys(
        ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack"), "toxicity"
    ),
}
"""The table whose labels are measured, by head: in the others they are implied."""

ORDINARY_ENGLISH = ("dolly_part", "gsm8k_", "self_instruct_", "clinc150")
OWN_ORDINARY = (
    *("written_ordinary_", "written_more_prompts_", "written_world_prompts_ordinary_"),
    *("written_world_traffic_", "written_prompts_world_", "written_short_world_", "written_news_world_"),
    *("written_long_world_", "written_world_everyday_"),
)
ORDINARY_ANSWERS = ("arena_hard_answers", "dolly_responses", "coconot_contrast_chosen")
INSTRUCTIONS = (
    "prompt_guide_",
    "owasp_",
    "fabric_",
    "tau_bench_",
    "sharegpt_",
    "swelancer_",
    "xsafety_prompt_leak_talk",
)
"""Harmless texts that instruct a model, or talk about that: hard, and no ordinary traffic."""

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Judge = Callable[[Ints], tuple[Floats, Floats]]
"""Returns the log-odds of some rows, shape (rows, heads), and what the screen says, (rows, outputs)."""
Fit = Callable[[Mask], Judge]
"""Given the rows that may be seen, returns what judges others."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """N examples and what heads that saw none of their family say about them."""

    examples: Sequence[Example]
    labels: Floats
    """Shape (N, heads), NaN where unknown."""
    rotation: Ints
    """Shape (N,): when each is left out, -1 for never."""
    log_odds: Floats
    """Shape (N, heads); NaN for our own texts, but for the challenges, which never train."""
    screened: Floats
    """Shape (N, outputs of the screen), by a screen that saw none of their family; NaN as `log_odds`."""

    def measured(self, head: str) -> Mask:
        """Return which examples have a stated label of a head."""
        table = STATED.get(head)
        stated = np.array(
            [table in e.tables or e.source.startswith((*OWN_WORLD, *NOTICES)) for e in self.examples]
        )
        return np.asarray(stated & ~np.isnan(self.labels[:, HEADS.index(head)]) & (self.rotation >= 0))


def rotate(examples: Sequence[Example], labels: Floats, fit: Fit) -> LeftOut:
    """Fit once per rotation without its families, and judge these; challenges get the mean of all fits."""
    rotation = np.array([families.rotation(example.source) for example in examples])
    challenge = np.array([example.held_out for example in examples])
    log_odds = np.full(labels.shape, np.nan, np.float32)
    log_odds[challenge] = 0.0
    screened: Floats | None = None
    for number in range(len(families.ROTATIONS)):
        log.info("rotation %d of %d", number + 1, len(families.ROTATIONS))
        judge = fit((rotation != number) & ~challenge)
        out = np.flatnonzero((rotation == number) | challenge)
        judged, seen = judge(out)
        if screened is None:
            screened = np.where(challenge[:, None], 0.0, np.full((1, seen.shape[1]), np.nan)).astype(
                np.float32
            )
        for whole, part in ((log_odds, judged), (screened, seen)):
            share = np.where(challenge[out], 1 / len(families.ROTATIONS), 1.0)[:, None]
            whole[out] = np.nan_to_num(whole[out]) + share * part
    assert screened is not None
    return LeftOut(examples, labels, rotation, log_odds, screened)


def summary(found: LeftOut, by_tier: Mapping[str, Floats], seed: int) -> dict[str, Any]:
    """Return for each head and tier the rankings, and the false alarms of each tier by language.

    `by_tier` has calibrated log-odds, each of the shape (N, heads).
    """
    heads: dict[str, dict[str, Any]] = {head: {} for head in STATED}
    alarms = {}
    for tier, log_odds in by_tier.items():
        probabilities = (1 / (1 + np.exp(-log_odds))).astype(np.float32)
        for head in STATED:
            heads[head][tier] = _of_head(found, probabilities, head, np.random.default_rng(seed))
        alarms[tier] = false_alarms(found, probabilities)
    return {"heads": heads, "false_alarms": alarms, "found": recall(found, probabilities)}


def _of_head(found: LeftOut, probabilities: Floats, head: str, chance: np.random.Generator) -> dict[str, Any]:
    column = HEADS.index(head)
    labels, scores = found.labels[:, column], probabilities[:, column]
    rows = _thinned(found, np.flatnonzero(found.measured(head)), labels > 0.5, chance)
    family = np.array([families.family(found.examples[row].source) for row in rows.tolist()])
    by_family, by_rotation = {}, {}
    for number in range(len(families.ROTATIONS)):
        here = found.rotation[rows] == number
        if _enough(labels[rows[here]]):
            by_rotation[f"rotation {number + 1}"] = evaluate.report(scores[rows[here]], labels[rows[here]])
        for name in np.unique(family[here]).tolist():
            ranked = _ranked(rows, here, family == name, labels, of_all=head in PROMPTS)
            if _enough(labels[ranked]):
                by_family[name] = evaluate.report(scores[ranked], labels[ranked])
    return {"families": by_family, "rotations": by_rotation} | _means(by_family, by_rotation)


def _ranked(rows: Ints, here: Mask, inside: Mask, labels: Floats, *, of_all: bool) -> Ints:
    """Return a family's texts, with the negatives of what else is left out where it has too few."""
    positive = labels[rows] > 0.5
    alone = (inside & ~positive).sum() < FEWEST
    return np.asarray(rows[(inside & positive) | (here & ~positive & (inside | of_all | alone))])


def _means(by_family: dict[str, Any], by_rotation: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, reports in (("mean of families", by_family), ("mean of rotations", by_rotation)):
        keys = ("auroc", "recall_at_1pct_fpr", "recall_at_0.5", "false_positive_rate_at_0.5")
        found[name] = {
            key: round(float(np.mean([report[key] for report in reports.values()])), 4)
            for key in keys
            if reports
        }
    if by_family:
        worst = min(by_family, key=lambda name: float(by_family[name]["auroc"]))
        found["worst family"] = worst
    return found


def _thinned(found: LeftOut, rows: Ints, positive: Mask, chance: np.random.Generator) -> Ints:
    kept: list[int] = []
    sources = np.array([found.examples[row].source for row in rows.tolist()])
    for source in np.unique(sources).tolist():
        for kind in (True, False):
            some = rows[(sources == source) & (positive[rows] == kind)]
            kept += chance.permutation(some)[:MOST].tolist()
    return np.array(sorted(kept), dtype=np.int64)


def _enough(labels: Floats) -> bool:
    return min(int((labels > 0.5).sum()), int((labels <= 0.5).sum())) >= FEWEST


def ordinary(examples: Sequence[Example]) -> Mask:
    """Return which examples are harmless prompts and texts of ordinary sources."""
    return np.array(
        [
            example.source.startswith((*ORDINARY, *ORDINARY_ENGLISH, *OWN_ORDINARY))
            and not example.source.startswith(INSTRUCTIONS)
            and not any(value > 0.5 for value in example.labels.values())
            for example in examples
        ]
    )


def answers(examples: Sequence[Example]) -> Mask:
    """Return which examples are answers that do what was asked."""
    return np.array(
        [e.source.startswith(ORDINARY_ANSWERS) and not e.labels.get("refusal", 1.0) for e in examples]
    )


def notices(examples: Sequence[Example]) -> Mask:
    """Return which examples are harmless notices of ours."""
    return np.array([e.source.startswith(NOTICES) and not e.labels["threat"] for e in examples])


def languages(found: LeftOut, mask: Mask) -> Iterator[tuple[str, Ints]]:
    """Yield each language with enough ordinary texts that were left out, and their rows.

    Notices of all languages come as one, `SHORT`: few ordinary prompts are statements.
    """
    kept = mask & (found.rotation >= 0)
    spoken = np.array([SHORT if e.source.startswith(NOTICES) else e.lang or "en" for e in found.examples])
    for lang in np.unique(spoken[kept]).tolist():
        rows = np.flatnonzero(kept & (spoken == lang))
        if len(rows) >= FEWEST_OF_LANGUAGE:
            yield lang, rows


def false_alarms(found: LeftOut, probabilities: Floats) -> list[dict[str, Any]]:
    """Return the share of ordinary texts over each threshold, a row per language and a column per head."""
    table = []
    for lang, rows in languages(found, ordinary(found.examples) | notices(found.examples)):
        row: dict[str, Any] = {"language": lang, "texts": len(rows)}
        for head in ("injection", "harmful_request", "toxicity", "threat", "bias_stereotype", "refusal"):
            scores = probabilities[rows, HEADS.index(head)]
            row |= {f"{head} {at}": round(float((scores >= at).mean()), 4) for at in THRESHOLDS}
        table.append(row)
    return table


def recall(found: LeftOut, probabilities: Floats) -> list[dict[str, Any]]:
    """Return the share of our own attacks, requests and abuse that 0.5 finds, a row per language.

    By heads that saw none of our texts of many languages.
    """
    own = np.array([example.source.startswith(OWN_WORLD) for example in found.examples])
    spoken = np.array([example.lang for example in found.examples])
    table = []
    for lang in np.unique(spoken[own & (spoken != "")]).tolist():
        row: dict[str, Any] = {"language": lang}
        for head in ("injection", "harmful_request", "toxicity", "refusal"):
            column = HEADS.index(head)
            positive = own & (spoken == lang) & (found.labels[:, column] > 0.5)
            if positive.sum() >= FEWEST_FOUND:
                row |= {
                    head: round(float((probabilities[positive, column] >= 0.5).mean()), 3),
                    f"{head} n": int(positive.sum()),
                }
        if len(row) > 1:
            table.append(row)
    return table
