import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detectors.grounding.alignment import FEATURES, MAX_COMPLETION, Alignment, lexicon_of, words
from detectors.models.tokenizer import MAX_CHARACTERS
from tests.models import MODELS

CONTEXT = "The library opened in 1913 and holds 40,000 maps. It is closed on Mondays. A café serves lunch."
texts = st.text(st.characters(codec=None), max_size=120)


def align(text: str, *contexts: str) -> Alignment:
    return Alignment(text, contexts or (CONTEXT,), MODELS.part(lexicon_of))


def features(text: str, *contexts: str) -> dict[str, float]:
    return dict(zip(FEATURES, align(text, *contexts).features(), strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The LIBRARY's maps!", [b"the", b"library", b"s", b"maps"]),
        ("isn't, isn\u2019t", [b"isn", b"t", b"isn", b"t"]),
        ("1913\u20132014", [b"1913", b"2014"]),
        ("\u00c9cole\u3002", ["école".encode()]),
        ("a_b-c", [b"a", b"b", b"c"]),
        ("lone \ud800", [b"lone"]),
        ("\u2026 -- !", []),
    ],
)
def test_words_are_bare_and_lower_case(text: str, expected: list[bytes]) -> None:
    assert words(text) == expected


def test_what_is_copied_is_supported() -> None:
    assert features("The library holds 40,000 maps.") == pytest.approx(dict.fromkeys(FEATURES, 0), abs=1e-6)


def test_what_is_invented_is_not() -> None:
    found = features("Dinosaurs roam a purple volcano near 1850.")
    assert found["sentence"] > 0.6
    assert found["window"] > 0.8
    assert found["numbers"] == 1


def test_a_neighbour_supports_in_part_and_a_near_number_does_not() -> None:
    exact, near, far = (
        features(f"It holds many {word} of land.", CONTEXT + " Many acres of land.")["sentence"]
        for word in ("maps", "map", "pigs")
    )
    assert exact < near < far
    assert features("It opened in 1914.")["numbers"] == 1
    assert features("It opened in 1913, not 1914.")["numbers"] == 0.5


def test_one_bad_sentence_is_seen_among_good_ones() -> None:
    good = "The library opened in 1913. " * 5
    assert features(good + "Penguins invented the telephone.")["sentence"] > features(good)["sentence"] + 0.5


def test_words_that_are_far_apart_hold_less_than_one_passage() -> None:
    filler = "green grass grows slowly here " * 20
    near = features("The library serves lunch.", filler + "The library serves lunch. " + filler)
    far = features("The library serves lunch.", "The library. " + filler + "It serves. " + filler + "Lunch.")
    assert near["window"] == pytest.approx(0, abs=1e-6)
    assert far["window"] > 0.3
    assert far["sentence"] == pytest.approx(0, abs=1e-6)


def test_contexts_are_read_together() -> None:
    assert features("Soup and bread.", "We have soup and tea.", "Fresh bread.")["sentence"] == 0


def test_short_sentences_are_not_judged_on_their_own() -> None:
    assert features("Yes.")["sentence"] == 0
    assert align("Yes. The library is closed.").sentences()[0].start == 5


@pytest.mark.parametrize(("text", "context"), [("", CONTEXT), ("...", CONTEXT), ("text", ""), ("text", "-")])
def test_without_words_it_does_not_apply(text: str, context: str) -> None:
    assert not align(text, context).applies


def test_completions_and_contexts_are_read_up_to_a_limit() -> None:
    filler = "The library opened in 1913. "
    long = filler * (MAX_COMPLETION // len(filler) + 1)
    assert features(long + "Penguins invented the telephone.") == features(long)
    late = "x " * MAX_CHARACTERS + "penguins"
    assert features("Penguins sing.", late)["window"] == 1


def test_unsupported_words_are_named_with_their_spans() -> None:
    text = "The caf\u00e9 isn't open; Napoleon's maps are from 1850 or the 1913 \u2018volcano\u2019."
    assert [text[span.start : span.end] for span in align(text).unsupported()] == [
        "isn't",
        "Napoleon's",
        "1850",
        "volcano",
    ]


@given(texts, st.lists(texts, max_size=2))
def test_features_are_shares_and_spans_lie_in_the_text(text: str, contexts: list[str]) -> None:
    alignment = align(text, *contexts, "")
    for span in (*alignment.sentences(), *alignment.unsupported()):
        assert 0 <= span.start < span.end <= len(text)
        assert 0 <= span.support <= 1 + 1e-9
    if alignment.applies:
        assert all(-1e-9 <= value <= 1 + 1e-9 for value in alignment.features())
    assert 0 <= alignment.novelty() <= 1 + 1e-9


@given(texts, texts)
def test_more_context_never_takes_support_away(text: str, context: str) -> None:
    before, after = align(text, "a"), align(text, "a", context)
    assert all(
        new.support >= old.support - 1e-9
        for old, new in zip(before.sentences(), after.sentences(), strict=True)
    )


@given(texts)
@example("\x85\x80:À")
@example("\u16800")
def test_a_text_supports_itself(text: str) -> None:
    alignment = align(text, text)
    assert list(alignment.unsupported()) == []
    assert alignment.novelty() in (pytest.approx(0, abs=1e-9), 0.5)
    if alignment.applies:
        assert alignment.features() == pytest.approx((0, 0, 0), abs=1e-9)


@pytest.mark.parametrize(
    "piece", ["a. ", ".", "word ", "1 ", "\n", "zebra quilt river stone. ", "x" * 50 + " "]
)
def test_long_texts_take_bounded_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    started = time.thread_time()
    alignment = align(text + "end", text)
    if alignment.applies:
        alignment.features()
    assert len(list(alignment.unsupported())) < 200_000
    assert time.thread_time() - started < 5  # it takes half a second


def test_it_costs_about_as_little_as_tokenising_the_contexts() -> None:
    lexicon, chance = MODELS.part(lexicon_of), np.random.default_rng(0)
    vocabulary = [word.decode() for word in lexicon.weights if lexicon.neighbours.of(word)]
    contexts = [" ".join(chance.choice(vocabulary, 800)) for _ in range(20)]
    answers = [" ".join(context.split()[:20]) + " zebra quilt" for context in contexts]

    def seconds(work: str) -> float:
        started = time.process_time()
        if work == "tokens":
            MODELS.encoder.encode(contexts)
        else:
            for answer, context in zip(answers, contexts, strict=True):
                align(answer, context).features()
        return time.process_time() - started

    tokens, aligned = (min(seconds(work) for _ in range(5)) for work in ("tokens", "alignment"))
    assert aligned < 3 * tokens, "words that were seen before are looked up, not tokenised"


def test_the_shipped_neighbours_are_those_of_the_shipped_embeddings() -> None:
    lexicon = MODELS.part(lexicon_of)
    near = dict(lexicon.neighbours.of(b"jumping"))
    assert near[b"jump"] > 0.8
    assert b"jumping" not in near
    assert lexicon.neighbours.of(b"no such word") == ()
    assert list(near.values()) == sorted(near.values(), reverse=True)
    vectors = MODELS.embeddings.embed(MODELS.encoder.encode(["jumping", "jump"]))
    assert near[b"jump"] == pytest.approx((float(vectors[0] @ vectors[1]) - 0.5) / 0.5, abs=0.01)
    assert lexicon.weights[b"the"] < 1 < lexicon.weights[b"library"]
