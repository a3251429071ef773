"""The corpus of ordinary prompts: as large and mixed as said, and nothing that the detectors learned from."""

import re
from functools import cache

import pytest

from bench.ordinary import (
    NOTICES,
    PROMPTS,
    SHORT,
    TRIGGERS,
    WORDS,
    Judged,
    Prompt,
    blocked,
    corpus,
    flagged,
    judged,
    prompts,
)
from detectors.training import written
from streams.settings import Settings

WORD = re.compile(r"\w+")
ROW = 8
"""Words in a row that two texts do not share by chance."""


@cache
def texts() -> dict[str, list[str]]:
    return {name: [one.text for one in each] for name, each in corpus().items()}


def test_it_has_sixteen_languages_prompts_with_words_of_attacks_and_notices() -> None:
    languages = {name: each for name, each in texts().items() if name not in {TRIGGERS, NOTICES}}
    assert len(languages) == 16
    assert sum(map(len, languages.values())) == PROMPTS
    assert (len(texts()[TRIGGERS]), len(texts()[NOTICES])) == (PROMPTS, SHORT)
    everything = [text for each in texts().values() for text in each]
    assert len(set(everything)) == len(everything)
    assert not [text for text in everything if "{" in text or "|" in text]


def test_the_words_of_attacks_are_in_it() -> None:
    lowered = [f"{text.lower()} " for text in texts()[TRIGGERS]]
    assert [word for word in WORDS if not any(word in text for text in lowered)] == []


def test_every_template_has_its_share() -> None:
    counts: dict[str, int] = {}
    for one in prompts(TRIGGERS, PROMPTS):
        counts[one.template] = counts.get(one.template, 0) + 1
    assert max(counts.values()) <= 60


def test_hardly_a_notice_is_blocked() -> None:
    """Somebody comes, waits, or will do something: that alone is no threat."""
    done = judged(prompts(NOTICES, SHORT // 2), Settings(storage="redacted"))
    assert blocked(done) <= 0.01, [one.prompt.text for one in done if one.action == "block"]
    assert flagged(done) <= 0.04


def test_training_never_saw_it() -> None:
    whole: set[str] = set()
    rows: set[tuple[str, ...]] = set()
    for text in (text for each in texts().values() for text in each):
        words = _words(text)
        whole.add(" ".join(words))
        rows |= _rows(words)
    for example in (*written.examples(), *written.challenges()):
        words = _words(example.text)
        assert " ".join(words) not in whole, example
        assert rows.isdisjoint(_rows(words)), example


def test_shares_are_of_all_prompts() -> None:
    one = Prompt("a", "a")
    done = [Judged(one, action, ()) for action in ("allow", "block", "flag", "allow")]
    assert (blocked(done), flagged(done)) == (0.25, 0.5)


def test_too_few_templates_are_said() -> None:
    with pytest.raises(ValueError, match="add templates"):
        prompts("de", 10_000)


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _rows(words: list[str]) -> set[tuple[str, ...]]:
    return set(zip(*(words[first:] for first in range(ROW)), strict=False))
