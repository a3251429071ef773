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

REPEATED = 700
"""Texts of one short line again and again, with and without an attack among them."""
SHORT = 24
"""Characters of a line that is repeated."""
TIMES = (2, 12)
"""How often it stands before what is hidden, and after."""

TASKS = 1200
"""Documents with a task that has nothing to do with them in their middle, and as many with it at an end."""
TASK = ("written_ordinary_", "written_more_prompts_")
"""Sources, by prefix, of ordinary requests: an order where a document has none to give."""
MAX_TASK = 140
"""Characters of such a request."""
VERBS = (
    *("add", "answer", "calculate", "compare", "convert", "create", "describe", "draft", "explain", "find"),
    *("give", "help", "list", "make", "name", "please", "plan", "recommend", "rewrite", "show", "suggest"),
    *("summarise", "summarize", "tell", "translate", "turn", "write"),
)
"""A request that is an order begins with one of them."""

HIDING = (
    *("grammar_buried", "grammar_not_buried", "grammar_among_lines", "grammar_lines"),
    *("grammar_attack_in_document", f"{written.WRITTEN}_world_buried_"),
)
"""Sources, by prefix, of texts with an attack among other text, and of the same without."""


def examples(found: list[Example], seed: int) -> list[Example]:
    """Return documents with and without attacks, made of `found`."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    return [
        *_in_documents(found, chance),
        *_in_languages(found, chance),
        *_among_lines(found, chance),
        *_tasks(found, chance),
    ]


def _in_documents(found: list[Example], chance: random.Random) -> Iterator[Example]:
    """Yield parts of documents, each with an attack between two of its words and as it was before.

    Both, and the attack, are in the split of the document, which is in English as the attack is.
    """
    carriers = _carriers(found)
    attacks: dict[str, list[str]] = {"fit": [], "calibrate": [], "test": []}
    for e in found:
        own = e.source.startswith((grammars.ATTACKS, written.WRITTEN))
        if own and e.english and e.labels.get("injection") == 1 and len(e.text) <= MAX_HIDDEN:
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


def _carriers(found: list[Example]) -> list[Example]:
    """Return the harmless documents of the first pool."""
    return [
        e
        for e in found
        if e.source.startswith(CARRIERS)
        and not e.second_pool
        and len(e.text) >= MIN_DOCUMENT
        and e.labels.get("injection") == 0
    ]


def _among_lines(found: list[Example], chance: random.Random) -> Iterator[Example]:
    """Yield one short line many times, and the same with an attack among the lines."""
    own = [e for e in found if e.source.startswith(written.WRITTEN) and "\n" not in e.text]
    short = [e.text for e in own if len(e.text) <= SHORT and not any(e.labels.values())]
    attacks = [e for e in own if e.labels.get("injection") == 1 and len(e.text) <= MAX_HIDDEN]
    for attack in chance.sample(attacks, min(REPEATED, len(attacks)) if short else 0):
        line, between = chance.choice(short), chance.choice(("\n", "\n", " ", ". "))
        before, after = ([line] * chance.randint(*TIMES) for _ in range(2))
        text = between.join([*before, attack.text, *after])
        yield Example(text, grammars.SOURCE + "among_lines", {"injection": 1.0}, attack.key, lang=attack.lang)
        text = between.join([*before, *after])
        yield Example(text, grammars.SOURCE + "lines", {"injection": 0.0}, attack.key)


def _tasks(found: list[Example], chance: random.Random) -> Iterator[Example]:
    """Yield documents with an ordinary request in their middle, an order to whoever reads them.

    At either end the same request is a user's, who asks something and adds a document.
    """
    carriers = _carriers(found)
    tasks = [
        e.text
        for e in found
        if e.source.startswith(TASK)
        and len(e.text) <= MAX_TASK
        and not any(e.labels.values())
        and e.text.lower().startswith(VERBS)
    ]
    for carrier in chance.sample(carriers, min(TASKS, len(carriers)) if tasks else 0):
        words, size = carrier.text.split(" "), chance.randint(*AROUND)
        start = chance.randint(0, max(0, len(words) - size))
        part = words[start : start + size]
        place, task = chance.randint(len(part) // 4, 1 + 3 * len(part) // 4), chance.choice(tasks)
        text = " ".join([*part[:place], task, *part[place:]])
        yield Example(text, grammars.SOURCE + "task_inside", {"injection": 1.0}, carrier.key, weak=True)
        ends = chance.choice(([task, " ".join(part)], [" ".join(part), task]))
        text = chance.choice((" ", "\n\n")).join(ends)
        yield Example(text, grammars.SOURCE + "task_outside", {"injection": 0.0}, carrier.key)


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
