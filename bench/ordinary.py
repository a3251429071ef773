"""Counts how often the policy stops or flags ordinary prompts, by language and by word.

`python -m bench.ordinary [--policy FILE] [--show]`: 2,000 prompts in sixteen languages, 2,000 in English
that use the words of attacks for something harmless, and 1,200 short notices in 23 languages in which
somebody comes, waits, or will do something. For measuring only: nothing may be trained on them.

A file of `ordinary_prompts` has a template a line; `{a|b}` stands for one of two texts. A line that begins
with `~` is a frame, into which texts are put in turn.
"""

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

from schemas.events import Event
from streams.decisions.judge import Judge
from streams.decisions.scoring import make_runner, owners
from streams.decisions.text_storage import Keeper
from streams.policy.file import load
from streams.settings import Settings

FOLDER: Final = Path(__file__).with_name("ordinary_prompts")
TRIGGERS: Final = "triggers"
"""The file of English ones with words of attacks."""
NOTICES: Final = "notices"
"""The file of short notices in many languages; each other file is named for its language."""
PROMPTS: Final = 2_000
SHORT: Final = 1_200
"""Notices."""
MIXED: Final = {TRIGGERS: PROMPTS, NOTICES: SHORT}
"""Prompts of each file that is not of a language."""
SHOWN: Final = 12
BATCH: Final = 64
_CHOICE = re.compile(r"\{([^{}]*\|[^{}]*)\}")
WORDS: Final = (
    "ignore", "system prompt", "kill", "bomb", "dan ", "act as", "password",
    "hack", "inject", "previous instructions", "jailbreak", "pretend", "from now on", "you are now",
    "bypass", "override", "disable", "weapon", "poison", "shoot", "steal",
    "attack", "secret", "reveal", "developer mode", "drug", "sex", "naked",
    "suicide", "terror", "explosive", "execut", "malware", "exploit", "murder",
    "forget", "output only", "repeat",
)  # fmt: skip


class Prompt(NamedTuple):
    """A prompt, and the template that it was made of."""

    text: str
    template: str


class Judged(NamedTuple):
    """What the policy did about a prompt."""

    prompt: Prompt
    action: str
    rules: tuple[str, ...]


def prompts(name: str, count: int, seed: int = 0) -> list[Prompt]:
    """Return `count` prompts of one file, as many of each template as there are, in an order of chance."""
    chance = random.Random(seed)
    lines = (FOLDER / f"{name}.txt").read_text("utf-8").splitlines()
    frames = [line[1:].strip() for line in lines if line.startswith("~")] or ["{}"]
    made = [_texts(line, chance) for line in lines if line.strip() and not line.startswith("~")]
    chosen: list[Prompt] = []
    for first in range(len(frames)):  # each text once before any stands in a second frame
        for number, one in enumerate(_in_turn(made), first):
            chosen.append(one._replace(text=frames[number % len(frames)].replace("{}", one.text)))
    if len(chosen) < count:
        raise ValueError(f"{name}.txt makes {len(chosen)} prompts of {count}: add templates")
    return chosen[:count]


def corpus() -> dict[str, list[Prompt]]:
    """Return all prompts by their file's name: `PROMPTS` of the languages together, and those of `MIXED`."""
    languages = sorted({path.stem for path in FOLDER.glob("*.txt")} - MIXED.keys())
    counts = dict.fromkeys(languages, PROMPTS // len(languages)) | MIXED
    return {name: prompts(name, count) for name, count in counts.items()}


def judged(found: Sequence[Prompt], settings: Settings) -> list[Judged]:
    """Return what the policy of `settings` does about each prompt."""
    runner = make_runner(settings)
    try:
        policy = load(settings.policy, owners(runner), runner.ranges).compile(runner.metrics, runner.counted)
        judge = Judge(runner, Keeper(settings.storage, settings.redaction_key_bytes, runner.finders))
        done: list[Judged] = []
        for start in range(0, len(found), BATCH):
            batch = found[start : start + BATCH]
            events = [
                Event(event_id=str(start + row), app="bench", kind="prompt", text=one.text)
                for row, one in enumerate(batch)
            ]
            for one, decision in zip(batch, judge.judge(events, policy).decisions, strict=True):
                done.append(Judged(one, decision.action, tuple(hit.rule for hit in decision.rules)))
        return done
    finally:
        runner.close()


def blocked(done: Sequence[Judged]) -> float:
    """Return the share of prompts that are stopped."""
    return sum(one.action == "block" for one in done) / len(done)


def flagged(done: Sequence[Judged]) -> float:
    """Return the share of prompts about which anything is done."""
    return sum(one.action != "allow" for one in done) / len(done)


def _texts(template: str, chance: random.Random) -> list[Prompt]:
    parts = _CHOICE.split(template)
    choices = [[part] if number % 2 == 0 else part.split("|") for number, part in enumerate(parts)]
    texts = ["".join(choice) for choice in product(*choices)]
    chance.shuffle(texts)
    return [Prompt(text, template) for text in texts]


def _in_turn(made: Sequence[Sequence[Prompt]]) -> Iterator[Prompt]:
    """Yield the first of each list, then the second of each that has one, and so on."""
    for place in range(max(map(len, made))):
        yield from (texts[place] for texts in made if place < len(texts))


def _line(name: str, done: Sequence[Judged]) -> str:
    rules = Counter(rule for one in done if one.action != "allow" for rule in one.rules)
    often = ", ".join(f"{rule} {count}" for rule, count in rules.most_common(3))
    return f"{name:24} {len(done):5} {blocked(done):8.1%} {flagged(done):8.1%}  {often}"


def report(done: dict[str, list[Judged]], show: bool) -> None:
    """Print shares by language, by word of attacks and, to `show`, the templates that are flagged most."""
    print(f"{'':24} {'n':>5} {'blocked':>8} {'flagged':>8}")
    for name in sorted(done, key=lambda name: -flagged(done[name])):
        print(_line(name, done[name]))
    print(_line("all languages", [one for name, each in done.items() if name not in MIXED for one in each]))
    by_word = {
        word: [one for one in done[TRIGGERS] if word in f"{one.prompt.text.lower()} "] for word in WORDS
    }
    for word, each in sorted(by_word.items(), key=lambda pair: -flagged(pair[1] or done[TRIGGERS])):
        if each and flagged(each):
            print(_line(f"  {word.strip()}", each))
    if show:
        for name, each in done.items():
            worst = Counter(one.prompt.template for one in each if one.action != "allow")
            for template, count in worst.most_common(SHOWN):
                print(f"{name} {count}: {template}")


def main() -> None:
    """Judge all prompts and print the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", type=Path, help="a policy file; else that of the settings")
    parser.add_argument("--show", action="store_true", help="also show the templates that are flagged most")
    asked = parser.parse_args()
    settings = Settings(storage="redacted", **({"policy": asked.policy} if asked.policy else {}))
    found = corpus()
    done = judged([one for each in found.values() for one in each], settings)
    by_name: dict[str, list[Judged]] = {}
    for name, each in found.items():
        by_name[name], done = done[: len(each)], done[len(each) :]
    report(by_name, asked.show)


if __name__ == "__main__":
    main()
