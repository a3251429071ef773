import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.batch import Batch
from detectors.groups import BEFORE_PEOPLE, PEOPLE, TERMS, GroupsDetector
from tests.models import MODELS

DETECTOR = GroupsDetector(MODELS)


def named(text: str) -> dict[str, int]:
    scores = DETECTOR.score(Batch.of_texts(["an earlier text", text, "white"], MODELS))[1]
    return {m.removeprefix("group_"): int(s) for m, s in zip(DETECTOR.metrics, scores, strict=True) if s}


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("Muslim women and a Jewish man", ("muslims", "jews", "women", "men")),
        ("black people, a white backpack", ("black people",)),
        ("an old lady", ("women", "old people")),
        ("an Irish wheelchair", ("disabled people", "nationality")),
        ("nobody", ()),
        ("", ()),
    ],
)
def test_groups_are_told_apart_by_name(text: str, groups: tuple[str, ...]) -> None:
    assert DETECTOR.named(Batch.of_texts(["a woman", text, "a man"], MODELS))[1] == groups


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("My Muslim neighbour and two gay friends", {"religion": 1, "orientation": 1}),
        ("Black people and white people", {"ethnicity": 2}),
        ("a black car on a white road", {}),
        ("old people, an old house", {"age": 1}),
        ("The blind man met a deaf girl", {"disability": 2, "gender": 2}),
        ("people", {}),
        ("I am black", {}),
        ("", {}),
    ],
)
def test_groups_are_counted_by_what_they_are_named_for(text: str, groups: dict[str, int]) -> None:
    assert named(text) == groups


def test_evidence_is_the_words() -> None:
    text = "Old men, JEWS and the café of a blind woman"
    found = DETECTOR.explain(Batch.of_texts(["gay", text], MODELS), 1)
    assert [(e.metric, e.text) for e in found] == [
        ("group_age", "Old"),
        ("group_gender", "men"),
        ("group_religion", "JEWS"),
        ("group_disability", "blind"),
        ("group_gender", "woman"),
    ]
    assert all(text[e.start : e.end] == e.text for e in found)


def test_every_word_is_one_token() -> None:
    vocabulary = MODELS.encoder.vocabulary()
    words = " ".join([*TERMS.values(), *BEFORE_PEOPLE.values(), PEOPLE]).split()
    assert not [word for word in words if word not in vocabulary]


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_text_is_counted_alone(before: str, text: str) -> None:
    alone = DETECTOR.score(Batch.of_texts([text], MODELS))
    together = DETECTOR.score(Batch.of_texts([before, text], MODELS))
    assert (alone[0] == together[1]).all()
    assert len(DETECTOR.explain(Batch.of_texts([text], MODELS), 0)) <= int(alone.sum())
