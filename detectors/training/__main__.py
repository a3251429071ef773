"""`python -m detectors.training --data DIR [--out DIR] [--stage STAGE]`."""

import argparse
import datetime as dt
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from detectors.models import SHIPPED
from detectors.training import datasets
from detectors.training.corpus import texts
from detectors.training.files import write_json

if TYPE_CHECKING:
    from detectors.training.pool import Pool

log = logging.getLogger("detectors.training")

SEED = 7
PAGE = SHIPPED.parents[1] / "docs" / "evaluation.md"
"""The page that takes the tables of the shipped models."""
STAGES = ("embeddings", "heads", "transformer", "transfer", "groundedness", "eval", "cards")
COUNTED = (
    "toxicity",
    "injection",
    "bias",
    "refusal",
    "offtopic_clinc150",
    "harmful_requests",
    "groundedness",
)
"""Subjects whose texts give the token frequencies."""


def main() -> None:
    """Run the stages that were asked for, all by default, and write weights and metrics."""
    parser = argparse.ArgumentParser(prog="python -m detectors.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled *.csv.gz files")
    parser.add_argument(
        "--out", type=Path, default=SHIPPED, help="where the weights go (default: %(default)s)"
    )
    parser.add_argument("--stage", choices=STAGES, action="append", help="only this stage; may be repeated")
    parser.add_argument("--checkpoints", type=Path, help="keep finished phases here, and go on from them")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stages = arguments.stage or STAGES
    if "embeddings" in stages:
        _embeddings(arguments.data, arguments.out)
    if {"heads", "transformer", "transfer", "eval"} & set(stages):
        _judges(arguments.data, arguments.out, stages, arguments.checkpoints)
    if "groundedness" in stages:
        from detectors.training import groundedness

        groundedness.train(arguments.data, arguments.out)
    if "cards" in stages:
        from detectors.training.cards import write_cards

        write_cards(arguments.out, PAGE if arguments.out == SHIPPED else None)


def _embeddings(data: Path, out: Path) -> None:
    from detectors.models.embeddings import Embeddings
    from detectors.models.tokenizer import Encoder
    from detectors.training.embeddings import distil
    from detectors.training.intents import Embed, embed_exactly, nearest_neighbour

    table = distil(texts(data, *COUNTED), out)
    encoder = Encoder.load(out / "tokenizer.json")
    shipped = Embeddings.load(out / "embeddings.npz")
    ways: dict[str, Embed] = {"float32": partial(embed_exactly, table), "int8, as shipped": shipped.embed}
    found = {name: nearest_neighbour(data, encoder, embed) for name, embed in ways.items()}
    write_json(out / "embeddings.json", found, sort_keys=True)


def _judges(data: Path, out: Path, stages: Sequence[str], checkpoints: Path | None) -> None:
    from detectors.models.tokenizer import Encoder
    from detectors.training.pool import Pool

    pool = Pool(datasets.examples(data, SEED), Encoder.load(out / "tokenizer.json"))
    log.info("%d examples", len(pool))
    if "heads" in stages or "transfer" in stages:
        from detectors.training.heads import Trainer, train

        trainer = Trainer(pool, out)
        if "heads" in stages:
            train(trainer, out)
        if "transfer" in stages:
            from detectors.training.transfer import leave_sources_out

            with TemporaryDirectory() as folder:
                found = leave_sources_out(trainer, Path(folder), SEED)
            write_json(out / "transfer.json", found, sort_keys=True)
    if "transformer" in stages:
        _cascade(pool, out, checkpoints)
    if "eval" in stages:
        _evaluate(pool, out)


def _cascade(pool: "Pool", out: Path, checkpoints: Path | None) -> None:
    from detectors.models.linear import LinearHeads
    from detectors.training import neural, stack
    from detectors.training.curriculum import PHASES

    chosen = (pool.split == "fit") & ~pool.held_out
    transformer = neural.fit_transformer(pool, chosen, out, PHASES, SEED, checkpoints)
    stack.join(pool, LinearHeads.load(out / "heads.npz"), transformer, out, SEED)


def _evaluate(pool: "Pool", out: Path) -> None:
    from detectors.models.weights import Models
    from detectors.training import cards, fairness, table
    from detectors.training.machine import machine

    models = Models(out)
    judged = table.judge(pool, models, SEED)
    by_term = fairness.report(models)
    rows = table.measure(judged)
    found = {
        "machine": f"{dt.date.today().isoformat()}, {machine()}.",
        "table": rows,
        "heads": table.sections(judged),
        "over_defence": table.over_defence(judged),
        "passed_to_transformer": table.passed(judged),
        "fairness": fairness.summary(by_term),
        "by_term": by_term,
        "texts_per_second": table.speed(pool, models, SEED),
    }
    write_json(out / "metrics.json", found, sort_keys=True)
    log.info("\n%s", cards.measured(rows))


if __name__ == "__main__":
    main()
