import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.models.tokenizer import MAX_CHARACTERS
from tests.models import MODELS

anything = st.text(alphabet=st.characters(codec=None), max_size=60)


def test_tokens_of_several_texts_lie_behind_each_other() -> None:
    tokens = MODELS.encoder.encode(["hello world", "", "hello"])
    assert tokens.offsets.tolist() == [0, 2, 2, 3]
    assert tokens.counts.tolist() == [2, 0, 1]
    assert tokens.ids[0] == tokens.ids[2]
    assert tokens.ids.dtype == np.int32
    assert tokens.offsets.dtype == np.int64


def test_no_texts_give_no_tokens() -> None:
    tokens = MODELS.encoder.encode([])
    assert len(tokens) == 0
    assert tokens.offsets.tolist() == [0]


def test_special_tokens_are_not_added() -> None:
    assert not {101, 102} & set(MODELS.encoder.encode(["hello"]).ids.tolist())


@pytest.mark.parametrize(
    "text", ["\x00", "a\x00b", "\ud800", "ok \udfff ok", "\u200b", "\U0001f600", "\ufeff"]
)
def test_odd_characters_are_read(text: str) -> None:
    tokens = MODELS.encoder.encode([text, "after"])
    assert tokens.counts[1] == 1


def test_every_character_up_to_the_limit_counts_and_none_after_it() -> None:
    words = "a " * MAX_CHARACTERS
    assert MODELS.encoder.encode([words]).counts[0] == MAX_CHARACTERS // 2
    assert MODELS.encoder.encode([words[: MAX_CHARACTERS - 2]]).counts[0] == MAX_CHARACTERS // 2 - 1


@given(st.lists(anything, max_size=6))
def test_a_text_has_the_same_tokens_alone_and_in_company(texts: list[str]) -> None:
    together = MODELS.encoder.encode(texts)
    for row, text in enumerate(texts):
        mine = together.ids[together.offsets[row] : together.offsets[row + 1]]
        assert np.array_equal(mine, MODELS.encoder.encode([text]).ids)


@given(
    st.text(alphabet=st.characters(max_codepoint=127), max_size=60) | st.sampled_from(["[CLS] a", "[mask]"])
)
def test_the_short_cut_for_ascii_gives_the_tokens_of_the_tokenizer(text: str) -> None:
    encoder = MODELS.encoder
    whole = encoder._tokenizer.encode(text, add_special_tokens=False)
    assert encoder.encode([text]).ids.tolist() == whole.ids


@given(anything)
def test_words_cover_all_tokens_and_lie_inside_the_text(text: str) -> None:
    words = MODELS.encoder.words(text)
    assert words.first[1:].tolist() == words.last[:-1].tolist()
    assert (words.last[-1] if len(words.last) else 0) == len(MODELS.encoder.encode([text]).ids)
    assert all(0 <= start <= end <= len(text) for start, end in zip(words.start, words.end, strict=True))


def test_pieces_of_a_word_are_one_word_with_its_span() -> None:
    text = "¡Olá! unbelievably"
    words = MODELS.encoder.words(text)
    assert words.last[-1] - words.first[-1] > 1
    assert text[words.start[-1] : words.end[-1]] == "unbelievably"
