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
    from detectors.training.corpus import Example

log = logging.getLogger("detectors.training")

SEED = 7
PAGE = SHIPPED.parents[1] / "docs" / "evaluation.md"
"""The page that takes the tables of the shipped models."""
STAGES = ("embeddings", "groundedness", "encoder", "transformer", "judges", "eval", "cards")
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
    parser.add_argument(
        "--data", type=Path, required=True, help="folder that holds train/ and more/, each of *.csv.gz"
    )
    parser.add_argument(
        "--out", type=Path, default=SHIPPED, help="where the weights go (default: %(default)s)"
    )
    parser.add_argument("--stage", choices=STAGES, action="append", help="only this stage; may be repeated")
    parser.add_argument("--checkpoints", type=Path, help="keep finished phases here, and go on from them")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stages = arguments.stage or STAGES
    if "embeddings" in stages:
        _embeddings(arguments.data / "train", arguments.out)
    if "groundedness" in stages:
        from detectors.training import groundedness

        groundedness.train(arguments.data / "train", arguments.out)
    if {"encoder", "transformer", "judges", "eval"} & set(stages):
        _cascade(arguments.data, arguments.out, stages, arguments.checkpoints)
    if "cards" in stages:
        from detectors.training.cards import write_cards

        write_cards(arguments.out, PAGE if arguments.out == SHIPPED else None)


def _embeddings(data: Path, out: Path) -> None:
    from detectors.models import sketches
    from detectors.models.embeddings import Embeddings
    from detectors.models.tokenizer import Encoder
    from detectors.models.weights import Models
    from detectors.training.embeddings import distil
    from detectors.training.intents import Embed, embed_exactly, nearest_neighbour

    table = distil(texts(data, *COUNTED), out)
    encoder = Encoder.load(out / "tokenizer.json")
    shipped = Embeddings.load(out / "embeddings.npz")
    sketches.write(Models(out), out)
    ways: dict[str, Embed] = {"float32": partial(embed_exactly, table), "int8, as shipped": shipped.embed}
    found = {name: nearest_neighbour(data, encoder, embed) for name, embed in ways.items()}
    write_json(out / "embeddings.json", found, sort_keys=True)


def _cascade(data: Path, out: Path, stages: Sequence[str], checkpoints: Path | None) -> None:
    examples = datasets.examples(data, SEED)
    log.info("%d examples", len(examples))
    if "encoder" in stages:
        from detectors.training import sentence_encoder

        pairs = ((example.lang, example.text) for example in examples if example.second_pool)
        sentence_encoder.convert(sentence_encoder.sample(pairs), out)
    if "transformer" in stages:
        _transformer(examples, out, checkpoints)
    if "judges" in stages:
        from detectors.training import judges

        with TemporaryDirectory() as folder:
            judges.train(examples, out, SEED, checkpoints or Path(folder))
    if "eval" in stages:
        _evaluate(examples, out)


def _transformer(examples: list["Example"], out: Path, checkpoints: Path | None) -> None:
    """Train the transformer on English; the second pool is left out, to tell what its voice is worth."""
    from detectors.models.tokenizer import Encoder
    from detectors.training import neural
    from detectors.training.curriculum import PHASES
    from detectors.training.pool import Pool

    known = [example for example in examples if example.english and not example.second_pool]
    pool = Pool(known, Encoder.load(out / "tokenizer.json"))
    chosen = (pool.split == "fit") & ~pool.held_out
    neural.fit_transformer(pool, chosen, out, PHASES, SEED, checkpoints)


def _evaluate(examples: list["Example"], out: Path) -> None:
    from detectors.models.weights import Models
    from detectors.training import cards, fairness, table
    from detectors.training.machine import machine
    from detectors.training.pool import Pool

    models = Models(out)
    pool = Pool(examples, models.encoder)
    judged = table.judge(pool, models, SEED)
    by_term = fairness.report(models)
    rows = table.measure(judged)
    found = {
        "machine": f"{dt.date.today().isoformat()}, {machine()}.",
        "table": rows,
        "heads": table.sections(judged),
        "over_defence": table.over_defence(judged),
        "passed": table.passed(judged),
        "fairness": fairness.summary(by_term),
        "by_term": by_term,
        "texts_per_second": table.speed(pool, models, SEED),
    }
    write_json(out / "metrics.json", found, sort_keys=True)
    log.info("\n%s", cards.measured(rows))


if __name__ == "__main__":
    main()
