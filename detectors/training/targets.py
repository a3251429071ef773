"""What the detectors should reach, beside what was measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from detectors.training.calibration import FEWEST, LANGUAGES


@dataclass(frozen=True, slots=True)
class Target:
    """A bound, and where its measurement stands in `metrics.json` or `rotations.json`."""

    what: str
    on: str
    bound: float
    measured: float
    at_most: bool = False

    @property
    def row(self) -> dict[str, Any]:
        """The target as a row of a table."""
        met = self.measured <= self.bound if self.at_most else self.measured >= self.bound
        return {
            "what": self.what,
            "on": self.on,
            "target": f"{'≤' if self.at_most else '≥'} {self.bound:g}",
            "measured": self.measured,
            "met": "yes" if met else "**no**",
        }


AUC = "auroc"
RECALL = "recall_at_1pct_fpr"
NAMES = {AUC: "AUROC", RECALL: "recall at 1 % false positives"}
MEANS = {"mean of families": "families left out, mean", "mean of rotations": "rotations, mean"}
GENERAL: tuple[tuple[str, str, float], ...] = (
    ("injection", AUC, 0.93),
    ("injection", RECALL, 0.60),
    ("toxicity", AUC, 0.92),
    ("harmful_request", AUC, 0.90),
    ("refusal", AUC, 0.96),
)
"""What is asked of families of sources that training never saw."""
BOUNDS: tuple[tuple[str, str, str, float], ...] = (
    ("toxicity", "Jigsaw, held-out part", AUC, 0.98),
    ("toxicity", "challenge: functional tests of hate", AUC, 0.80),
    ("toxicity", "challenge: implicit statements on groups", AUC, 0.85),
    ("injection", "challenge: attacks and benign prompts", AUC, 0.97),
    ("injection", "challenge: attacks and benign prompts", RECALL, 0.75),
    ("harmful_request", "challenge: requests", AUC, 0.90),
)
FALSE_ALARMS = {"0.5": 0.02, "0.9": 0.003}
"""Share of the ordinary texts of a language over a threshold, for the worst language and head."""
OVER_DEFENCE = 0.05
TEXTS_PER_SECOND = 1500.0


def targets(metrics: dict[str, Any], rotations: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each target: where families were left out, on the challenges, and of the cost."""
    found = [
        Target(f"{head}, {NAMES[key]}", MEANS[mean], bound, rotations["heads"][head]["cascade"][mean][key])
        for head, key, bound in GENERAL
        for mean in MEANS
    ]
    found += list(_false_alarms(rotations["false_alarms"]["cascade"]))
    reports = {(row["set"], row["head"]): row for row in metrics["table"] if row["tier"] == "cascade"}
    found += [
        Target(f"{head}, {NAMES[key]}", name, bound, reports[name, head][key])
        for head, name, key, bound in BOUNDS
    ]
    flagged, rate = metrics["over_defence"]["injection"], metrics["texts_per_second"]["all detectors"]
    found.append(
        Target("injection, flagged at 0.5", "challenge: trigger words", OVER_DEFENCE, flagged, at_most=True)
    )
    found.append(Target("all detectors, texts per second", "ordinary texts", TEXTS_PER_SECOND, rate))
    return [target.row for target in found]


def _false_alarms(rows: list[dict[str, Any]]) -> Iterator[Target]:
    for threshold, bound in FALSE_ALARMS.items():
        cells = [
            (share, row["language"], name)
            for row in rows
            if row["language"] in LANGUAGES and row["texts"] >= FEWEST
            for name, share in row.items()
            if name.endswith(f" {threshold}")
        ]
        worst, language, name = max(cells)
        where = f"ordinary texts of the encoder's worst language ({language}), left out"
        yield Target(f"{name.split()[0]}, over {threshold}", where, bound, worst, at_most=True)
