"""Attacks hidden in harmless documents, and the same documents without them."""

import random
from collections import defaultdict
from collections.abc import Iterator

from detectors.training import grammars, written
from detectors.training.corpus import Example

CARRIERS = ("documents_", "arena_hard", "dolly_responses")
"""Sources of harmless documents in which attacks are hidden."""
BURIED = 2500
MIN_DOCUMENT = 300
"""Characters of a text that can hide something."""
AROUND = (15, 75)
"""Words of the document that are kept around the place where something is hidden."""
MAX_HIDDEN = 250
"""Characters of what is hidden."""

PARTS = ("written_news_world_", "written_long_world_", "written_world_traffic_", "written_short_world_")
"""Our own harmless lines, by prefix, that are joined to documents in their language."""
DOCUMENTS = 60
"""Documents of each language, with and without an attack."""
JOINED = (3, 7)
"""Lines of a document."""


def examples(found: list[Example], seed: int) -> list[Example]:
    """Return documents with and without attacks, made of `found`."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    return [*_in_documents(found, chance), *_in_languages(found, chance)]


def _in_documents(found: list[Example], chance: random.Random) -> Iterator[Example]:
    """Yield parts of documents, each with an attack between two of its words and as it was before.

    Both, and the attack, are in the split of the document.
    """
    carriers = [
        e
        for e in found
        if e.source.startswith(CARRIERS)
        and not e.second_pool
        and len(e.text) >= MIN_DOCUMENT
        and e.labels.get("injection") == 0
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


def _in_languages(found: list[Example], chance: random.Random) -> Iterator[Example]:
    """Yield documents of our own lines in each language, with an attack between two lines and without."""
    lines, attacks = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for e in found:
        if e.source.startswith(written.WRITTEN) and e.lang and len(e.text) <= MAX_HIDDEN:
            if e.labels.get("injection") == 1:
                attacks[e.lang].append(e.text)
            elif e.source.startswith(PARTS) and not any(e.labels.values()):
                lines[e.lang].append(e.text)
    for lang in sorted(set(lines) & set(attacks)):
        if len(lines[lang]) < JOINED[1]:
            continue
        for number in range(DOCUMENTS):
            parts = chance.sample(lines[lang], chance.randint(*JOINED))
            source = f"{written.WRITTEN}_world_buried_{lang}"
            group = f"{lang} {number}"
            yield Example(
                " ".join(parts), source, {"injection": 0.0, "harmful_request": 0.0}, group, lang=lang
            )
            place = chance.randint(0, len(parts))
            parts.insert(place, chance.choice(attacks[lang]))
            yield Example(" ".join(parts), source, {"injection": 1.0}, group, lang=lang)
