"""Which texts teach which head."""

import random
from collections.abc import Iterator
from pathlib import Path

from detectors.training import grammars, written
from detectors.training.corpus import NATURAL, Example, rows

TOXICITY = ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")
BIAS = ("bias_identity_attack", "bias_stereotype")
HEADS = (*TOXICITY, "injection", *BIAS, "refusal", "harmful_request")
HARMLESS = (*TOXICITY, *BIAS, "injection", "harmful_request")

HATE = frozenset({"1. threats, plans to harm and incitement", "2. derogation"})
"""Kinds of sexism (EDOS) that attack; the others prejudge, and say nothing on attacks either way."""
ORDINARY_PROMPTS = frozenset({"dolly_part", "gsm8k_train", "self_instruct_seeds", "spikee_investment_fp"})
CARRIERS = ("documents_", "arena_hard", "dolly_responses", "bipia_")
"""Sources of harmless documents in which attacks are hidden."""
BURIED = 2500
MIN_DOCUMENT = 300
"""Characters of a text that can hide something."""
AROUND = (15, 75)
"""Words of the document that are kept around the place where something is hidden."""
MAX_HIDDEN = 250
"""Characters of what is hidden."""
CHAT_SHARE = 8
"""One in so many chat lines is taken as ordinary text."""
STATES = Path(__file__).parent / "states.txt"
"""Our own words for what people of any group may be, without prejudice."""
MIN_VOTES = 2
"""Annotators of a region who must agree on a stereotype of the lexicon."""


def examples(folder: Path, seed: int) -> list[Example]:
    """Return all examples, each text once per source, in a fixed order."""
    found = list(_labelled(folder))
    found += grammars.examples(seed)
    found += written.examples()
    found += _buried(found, random.Random(seed))  # noqa: S311 (no secret)
    found += written.challenges()
    return list({(example.text, example.source): example for example in found}.values())


def _labelled(folder: Path) -> list[Example]:
    return [
        *_toxicity(folder),
        *_injection(folder),
        *_bias(folder),
        *_lexicon(folder),
        *_refusal(folder),
        *_harmful(folder),
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


def _buried(found: list[Example], chance: random.Random) -> Iterator[Example]:
    """Yield parts of documents, each with an attack between two of its words and as it was before.

    Both, and the attack, are in the split of the document.
    """
    carriers = [
        e
        for e in found
        if e.source.startswith(CARRIERS) and len(e.text) >= MIN_DOCUMENT and e.labels.get("injection") == 0
    ]
    attacks: dict[str, list[str]] = {"fit": [], "calibrate": [], "test": []}
    for e in found:
        own = e.source.startswith((grammars.ATTACKS, written.WRITTEN))
        if own and e.labels.get("injection") == 1 and len(e.text) <= MAX_HIDDEN:
            attacks[e.split].append(e.text)
    for carrier in chance.sample(carriers, min(BURIED, len(carriers))):
        if not attacks[carrier.split]:
            continue
        words = carrier.text.split(" ")
        size = chance.randint(*AROUND)
        start = chance.randint(0, max(0, len(words) - size))
        part = words[start : start + size]
        place = chance.randint(0, len(part))
        text = " ".join([*part[:place], chance.choice(attacks[carrier.split]), *part[place:]])
        yield Example(text, grammars.SOURCE + "buried", {"injection": 1.0}, carrier.key)
        yield Example(" ".join(part), grammars.SOURCE + "not_buried", {"injection": 0.0}, carrier.key)
