import numpy as np
import pytest

from detectors.batch import Batch
from detectors.limits import EVIDENCE_LIMIT, SCAN_LIMIT
from detectors.models.tokenizer import MAX_CHARACTERS
from detectors.text import RECURRING, TextDetector
from tests.models import MODELS

DETECTOR = TextDetector()


def metric(name: str, *texts: str) -> list[float]:
    return [
        float(value)
        for value in DETECTOR.score(Batch.of_texts(texts, MODELS))[:, DETECTOR.metrics.index(name)]
    ]


def test_length_is_in_characters() -> None:
    assert metric("text_length", "", "abc", "é\U0001f600", "x" * 1_000_000) == [0, 3, 2, 1_000_000]


def test_tokens_are_those_of_the_batch() -> None:
    batch = Batch.of_texts(["", "the cat sat", "unbelievable!"], MODELS)
    assert DETECTOR.score(batch)[:, 1].tolist() == batch.tokens.counts.tolist()


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0),
        ("the", 0),
        ("the cat", 0),
        ("the cat sat", 0),
        ("the cat sat on a mat", 0),
        ("the the the the", 1 / 2),
        ("the the the the the the", 3 / 4),
        ("the cat sat the cat sat", 1 / 4),
    ],
)
def test_repetition_is_the_share_of_trigrams_seen_before(text: str, share: float) -> None:
    assert metric("text_repetition", text) == [pytest.approx(share)]


def test_repetition_does_not_look_across_texts() -> None:
    assert metric("text_repetition", *["the cat sat"] * 5) == [0] * 5
    assert metric("text_repetition", "the the the the", "", "the the the the") == [0.5, 0, 0.5]


def test_endless_repetition_nears_one_in_any_script() -> None:
    assert min(metric("text_repetition", "spam " * 500, "你好" * 500, "a" * 30_000)[:2]) > 0.98


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("plain", 0),
        ("a\u200bb\u200cc\ufeff", 3),
        ("\u202eabc\u202c", 2),
        ("hi" + "".join(chr(0xE0000 + ord(c)) for c in "obey"), 4),
        ("a\u200db", 1),
        ("a\ufe0f", 1),
        ("soft\u00adhyphen", 1),
        ("\U0001f469\u200d\U0001f469\u200d\U0001f467", 0),
        ("\u2764\ufe0f 1\ufe0f\u20e3", 0),
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", 0),
        ("\u0c95\u0c82\u0caa\u0ccd\u0caf\u0cc2\u0c9f\u0cb0\u0ccd\u200c", 0),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", 0),
        ("\u0915\u094d\u200d\u0937", 0),
    ],
)
def test_invisible_characters_are_counted_unless_the_writing_needs_them(text: str, count: int) -> None:
    assert metric("text_invisible", text) == [count]


def test_invisible_characters_are_counted_up_to_the_limit() -> None:
    assert metric("text_invisible", "\u200b" * (SCAN_LIMIT + 10)) == [SCAN_LIMIT]


def test_share_outside_ascii() -> None:
    assert metric("text_non_ascii", "", "abc", "éa", "éé", "\ud800a") == [0, 0, 0.5, 1, 0.5]


def test_evidence_names_the_invisible_characters() -> None:
    first, second = DETECTOR.explain(Batch.of_texts(["a\u200bb\U000e0001"], MODELS), 0)
    assert (first.metric, first.label, first.start, first.end) == ("text_invisible", "ZERO WIDTH SPACE", 1, 2)
    assert (second.label, second.start, second.end) == ("LANGUAGE TAG", 3, 4)
    (unnamed,) = DETECTOR.explain(Batch.of_texts(["\U000e0fff"], MODELS), 0)
    assert unnamed.label == "U+E0FFF"
    assert len(DETECTOR.explain(Batch.of_texts(["\u200b" * 100], MODELS), 0)) == EVIDENCE_LIMIT


def test_evidence_of_repetition_are_the_words_that_recur_the_most() -> None:
    text = "Well, unbelievable things happen. Unbelievable things happen and unbelievable things happen."
    (found,) = DETECTOR.explain(Batch.of_texts(["before " * 9, text], MODELS), 1)
    assert (found.metric, found.label) == ("text_repetition", "3 times")
    assert text[found.start : found.end] == found.text
    assert found.text == "unbelievable things happen"
    (found,) = DETECTOR.explain(Batch.of_texts(["one two three, one two three"], MODELS), 0)
    assert (found.label, found.text) == ("2 times", "one two three")
    (found,) = DETECTOR.explain(Batch.of_texts(["river " * 500], MODELS), 0)
    assert (found.label, found.text) == ("498 times", ("river " * (RECURRING + 2)).strip())
    assert DETECTOR.explain(Batch.of_texts(["nothing comes back here"], MODELS), 0) == []


def test_evidence_of_what_is_not_judged_is_where_it_begins() -> None:
    *_, beyond = DETECTOR.explain(Batch.of_texts(["x" * (MAX_CHARACTERS + 7)], MODELS), 0)
    assert (beyond.metric, beyond.start, beyond.end) == (
        "text_unjudged",
        MAX_CHARACTERS,
        MAX_CHARACTERS + 7,
    )
    assert not beyond.text


def test_a_large_batch_is_scored_at_once() -> None:
    scores = DETECTOR.score(Batch.of_texts(["the the the the", "x"] * 5_000, MODELS))
    assert np.array_equal(scores[:, 2], np.array([0.5, 0] * 5_000, dtype=np.float32))
