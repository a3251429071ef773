"""`python -m detectors.training --data DIR [--out DIR] [--stage STAGE]`."""

import argparse
import json
import logging
from functools import partial
from pathlib import Path

from detectors.encoder import MODELS
from detectors.training import datasets
from detectors.training.corpus import texts
from detectors.training.files import write_bytes

log = logging.getLogger("detectors.training")

SEED = 7
STAGES = ("embeddings", "heads", "transfer", "cards")
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
LEFT_OUT: dict[str, dict[str, tuple[str, ...]]] = {
    "toxicity": {
        "davidson_twitter": ("davidson_twitter",),
        "jigsaw": ("jigsaw_train_natural", "jigsaw_train_enriched"),
    },
    "identity_attack": {"jigsaw": ("jigsaw_train_natural", "jigsaw_train_enriched")},
    "injection": {
        "bipia": ("bipia_train_code", "bipia_train_email", "bipia_train_table"),
        "deepset": ("deepset_train",),
        "in_the_wild": ("inthewild_jailbreak_2023_05",),
        "spikee": (
            "spikee_seeds-cybersec-2025-04",
            "spikee_seeds-investment-advice",
            "spikee_seeds-llm-mailbox",
            "spikee_seeds-sysmsg-extraction-2025-04",
            "spikee_seeds-targeted-2024-12",
            "spikee_investment_fp",
        ),
        "role_play_prompts": ("awesome_chatgpt_prompts", "gpteacher_roleplay"),
    },
    "bias_identity_attack": {
        "stormfront_sentences": ("stormfront_sentences",),
    },
    "bias_stereotype": {
        "stereoset": ("stereoset_intersentence", "stereoset_intrasentence"),
        "crows_pairs": ("crows_pairs",),
    },
    "refusal": {
        "gptfuzz": ("gptfuzz_responses_train", "gptfuzz_responses_evaluate"),
    },
}


def main() -> None:
    """Run the stages that were asked for, all by default, and write weights and metrics."""
    parser = argparse.ArgumentParser(prog="python -m detectors.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled *.csv.gz files")
    parser.add_argument(
        "--out", type=Path, default=MODELS, help="where the weights go (default: %(default)s)"
    )
    parser.add_argument("--stage", choices=STAGES, action="append", help="only this stage; may be repeated")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stages = arguments.stage or STAGES
    if "embeddings" in stages:
        _embeddings(arguments.data, arguments.out)
    if "heads" in stages or "transfer" in stages:
        _heads(arguments.data, arguments.out, stages)
    if "cards" in stages:
        from detectors.training.cards import write_cards

        write_cards(arguments.out)


def _embeddings(data: Path, out: Path) -> None:
    from detectors.encoder import Encoder
    from detectors.features import Embeddings
    from detectors.training.embeddings import distil
    from detectors.training.intents import Embed, embed_exactly, nearest_neighbour

    table = distil(texts(data, *COUNTED), out)
    encoder = Encoder.load(out / "tokenizer.json")
    shipped = Embeddings.load(out / "embeddings.npz")
    ways: dict[str, Embed] = {"float32": partial(embed_exactly, table), "int8, as shipped": shipped.embed}
    found = {name: nearest_neighbour(data, encoder, embed) for name, embed in ways.items()}
    _write(out / "embeddings.json", found)


def _heads(data: Path, out: Path, stages: tuple[str, ...]) -> None:
    from detectors.training.heads import Trainer, evaluate_shipped, leave_source_out, train

    trainer = Trainer(datasets.examples(data, SEED), out)
    if "heads" in stages:
        _write(out / "metrics.json", evaluate_shipped(trainer, train(trainer, out)))
    if "transfer" in stages:
        found = {head: leave_source_out(trainer, head, groups) for head, groups in LEFT_OUT.items()}
        _write(out / "transfer.json", found)


def _write(path: Path, content: object) -> None:
    write_bytes(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    log.info("wrote %s", path)


if __name__ == "__main__":
    main()
