"""Which texts teach which head."""

from collections.abc import Iterator
from pathlib import Path

from detectors.models.tokenizer import Encoder
from detectors.training import buried, grammars, more, noise, written
from detectors.training.corpus import NATURAL, Example, rows, stated

TOXICITY = ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")
BIAS = ("bias_identity_attack", "bias_stereotype")
HEADS = (*TOXICITY, "injection", *BIAS, "refusal", "harmful_request")
HARMLESS = (*TOXICITY, *BIAS, "injection", "harmful_request")

HATE = frozenset({"1. threats, plans to harm and incitement", "2. derogation"})
"""Kinds of sexism (EDOS) that attack; the others prejudge, and say nothing on attacks either way."""
ORDINARY_PROMPTS = frozenset({"dolly_part", "gsm8k_train", "self_instruct_seeds", "spikee_investment_fp"})
CHAT_SHARE = 8
"""One in so many chat lines is taken as ordinary text."""
STATES = Path(__file__).parent / "states.txt"
"""Our own words for what people of any group may be, without prejudice."""
MIN_VOTES = 2
"""Annotators of a region who must agree on a stereotype of the lexicon."""


def examples(folder: Path, seed: int) -> list[Example]:
    """Return all examples of the pools `train` and `more`, each text once per source, in a fixed order."""
    found = list(_labelled(folder / "train"))
    found += more.examples(folder / "more")
    found += grammars.examples(seed)
    found += written.examples()
    found += buried.examples(found, seed)
    found += noise.examples(found, _words(), seed)
    found += written.challenges()
    return list({(example.text, example.source): example for example in found}.values())


def _words() -> list[str]:
    """Return the vocabulary of the English tokenizer, without its special tokens."""
    encoder = Encoder.load(Path(__file__).parents[1] / "models" / "tokenizer.json")
    return sorted(word for word in encoder.vocabulary() if word.isascii() and not word.startswith("["))


def _labelled(folder: Path) -> list[Example]:
    return [
        *stated(_toxicity(folder), "toxicity"),
        *stated(_injection(folder), "injection"),
        *stated(_bias(folder), "bias"),
        *_lexicon(folder),
        *stated(_refusal(folder), "refusal"),
        *stated(_harmful(folder), "harmful_requests"),
        *_intents(folder),
        *_chat(folder),
        *_documents(folder),
    ]


def _toxicity(folder: Path) -> Iterator[Example]:
    for row in rows(folder, "toxicity"):
        labels = {head: float(row[head]) for head in TOXICITY if row[head]}
        if row["source"] == NATURAL:
            labels["injection"] = 0.0
        if labels.get("toxicity") == 0:
            labels["harmful_request"] = 0.0
        if "identity_attack" in labels:
            labels["bias_identity_attack"] = labels["identity_attack"]
        yield Example(row["text"], row["source"], labels)


def _injection(folder: Path) -> Iterator[Example]:
    for row in rows(folder, "injection"):
        labels = {"injection": float(row["label"])}
        if row["source"] in ORDINARY_PROMPTS:
            labels = dict.fromkeys(HARMLESS, 0.0)
        elif row["label"] == "0":
            labels["harmful_request"] = 0.0
        yield Example(row["text"], row["source"], labels)


def _bias(folder: Path) -> Iterator[Example]:
    for row in rows(folder, "bias"):
        labels = {"bias_stereotype": float(row["label"])}
        if row["gold"] in HATE:
            labels["bias_identity_attack"] = 1.0
        elif row["gold"] in {"none", "unrelated"}:
            labels["bias_identity_attack"] = 0.0
        yield Example(row["text"], row["source"], labels, row["pair_id"] or row["context"])


def _lexicon(folder: Path) -> Iterator[Example]:
    """Yield a stereotype of each row of the lexicon, and as often what its people may well be."""
    states = STATES.read_text(encoding="utf-8").splitlines()
    for number, row in enumerate(rows(folder, "stereotype_lexicon_seegull")):
        votes = [int(float(row[column] or 0)) for column in ("region_stereo", "NA_stereo")]
        if max(votes) >= MIN_VOTES:
            text = f"{row['identity']} people are {row['attribute']}"
            yield Example(text, "seegull", {"bias_stereotype": 1.0}, row["identity"])
            text = f"{row['identity']} people are {states[number % len(states)]}"
            yield Example(text, grammars.SOURCE + "states", dict.fromkeys(HARMLESS, 0.0), row["identity"])


def _refusal(folder: Path) -> Iterator[Example]:
    for row in rows(folder, "refusal"):
        labels = {"refusal": float(row["refusal"])}
        if not row["source"].startswith("gptfuzz"):
            labels |= dict.fromkeys(HARMLESS, 0.0)
        yield Example(row["text"], row["source"], labels)


def _harmful(folder: Path) -> Iterator[Example]:
    for row in rows(folder, "harmful_requests"):
        if row["harmful"] == "1":
            yield Example(row["text"], row["source"], {"harmful_request": 1.0, "injection": 0.0})


def _intents(folder: Path) -> Iterator[Example]:
    for row in rows(folder, "offtopic_clinc150"):
        if "test" not in row["source"]:
            yield Example(row["text"], row["source"], dict.fromkeys(HARMLESS, 0.0))


def _chat(folder: Path) -> Iterator[Example]:
    for number, row in enumerate(rows(folder, "drift_ubuntu_irc")):
        if number % CHAT_SHARE == 0:
            yield Example(
                row["text"],
                row["source"],
                dict.fromkeys(("injection", "refusal", "bias_stereotype", "harmful_request"), 0.0),
            )


def _documents(folder: Path) -> Iterator[Example]:
    for row in rows(folder, "groundedness"):
        if row["context"].strip():
            labels = dict.fromkeys((*HARMLESS, "refusal"), 0.0)
            yield Example(row["context"], "documents_" + row["source"], labels)
