import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.base import UNLIKELY
from detectors.batch import Batch
from detectors.groundedness import LABELS, WORDS, GroundednessDetector, Logistic, logistics_of
from detectors.models import SHIPPED
from schemas.events import Event, Kind
from tests.models import MODELS

CONTEXT = "The Oberoi Group is a hotel company with its head office in Delhi. It was founded in 1934."
GROUNDED = "The head office of the Oberoi Group is in Delhi."
INVENTED = "The Oberoi Group was bought by a Norwegian shipping magnate in 1987."
DETECTOR = GroundednessDetector(MODELS)


def event(text: str, *contexts: str, kind: Kind = "completion", prompt: str = "") -> Event:
    return Event(event_id="e", app="a", kind=kind, text=text, contexts=contexts, prompt=prompt)


def scores(*events: Event) -> np.ndarray:
    return DETECTOR.score(Batch(events, MODELS))


def ungrounded(text: str, *contexts: str) -> float:
    return float(scores(event(text, *contexts))[0, 0])


def irrelevance(text: str, prompt: str) -> float:
    return float(scores(event(text, prompt=prompt))[0, 1])


def test_invented_claims_score_high_and_supported_ones_low() -> None:
    assert ungrounded(GROUNDED, CONTEXT) < 0.3
    assert ungrounded(INVENTED, CONTEXT) > 0.8


def test_a_wrong_number_raises_the_score() -> None:
    right, wrong = (ungrounded(f"It was founded in {year}.", CONTEXT) for year in (1934, 1943))
    assert wrong > right + 0.3


def test_any_of_the_contexts_may_support() -> None:
    assert ungrounded(GROUNDED, "Cats sleep a lot.", CONTEXT) < 0.3


@pytest.mark.parametrize(
    "subject",
    [
        event(GROUNDED, CONTEXT, kind="prompt", prompt="Where?"),
        event(GROUNDED),
        event("", CONTEXT, prompt="Where?"),
        event("?!", CONTEXT),
        event(GROUNDED, "", prompt=" "),
    ],
)
def test_what_cannot_be_judged_is_nan_and_has_no_evidence(subject: Event) -> None:
    assert np.isnan(scores(subject)).all()
    assert DETECTOR.explain(Batch([subject], MODELS), 0) == []


def test_an_answer_to_another_prompt_is_irrelevant() -> None:
    prompt = "How long should I boil an egg until it is soft?"
    assert irrelevance("Boil the egg for five minutes if you want it soft.", prompt) < 0.3
    assert irrelevance("The treaty was signed by both presidents in the spring.", prompt) > 0.7


def test_an_irrelevant_answer_is_explained_without_the_words_of_its_prompt() -> None:
    prompt = "How long should I boil an egg until it is soft?"
    completion = "The treaty was signed by both presidents in the spring."
    found = DETECTOR.explain(Batch([event(completion, prompt=prompt)], MODELS), 0)
    assert [(item.metric, item.label) for item in found] == [("irrelevance", label) for label in LABELS]
    assert all(item.weight is not None and 0 <= item.weight <= 2 for item in found)
    assert not any(item.text for item in found)


def test_both_metrics_are_independent() -> None:
    both, first, second = scores(
        event(GROUNDED, CONTEXT, prompt="Where is the head office?"),
        event(GROUNDED, CONTEXT),
        event(GROUNDED, prompt="Where is the head office?"),
    )
    assert both[0] == first[0]
    assert both[1] == second[1]
    assert math.isnan(first[1])
    assert math.isnan(second[0])


def test_evidence_is_the_sentence_and_the_words_without_support() -> None:
    text = f"{GROUNDED} {INVENTED}"
    sentence, *missing = DETECTOR.explain(Batch([event("-"), event(text, CONTEXT)], MODELS), 1)
    assert (sentence.label, sentence.text) == ("sentence", INVENTED)
    assert {found.text for found in missing} == {"bought", "Norwegian", "shipping", "magnate", "1987"}
    for found in (sentence, *missing):
        assert text[found.start : found.end] == found.text
        assert found.metric == "ungrounded"
        assert found.weight is not None
        assert 0.5 < found.weight <= 1
    assert {found.label for found in missing} == {"word"}


def test_evidence_has_an_end_and_needs_a_score() -> None:
    many = " ".join(f"{number}" for number in range(1000, 1100))
    assert len(DETECTOR.explain(Batch([event(many, CONTEXT)], MODELS), 0)) == 1 + WORDS
    copied = event(CONTEXT, CONTEXT * 2)
    assert (scores(copied)[0, 0] < UNLIKELY) == (DETECTOR.explain(Batch([copied], MODELS), 0) == [])


words = st.lists(st.sampled_from(["the", "hotel", "Delhi", "1934", "magnate.", "was", "not"]), max_size=12)
events = st.builds(
    lambda text, context, prompt: event(" ".join(text), " ".join(context), prompt=prompt),
    words,
    words,
    st.sampled_from(["", "Where is the hotel?", "\u200b", "1987"]),
)


@given(st.lists(events, max_size=8), st.integers(0, 8))
def test_no_bit_depends_on_the_rest_of_the_batch(batch: list[Event], cut: int) -> None:
    whole = scores(*batch)
    parts = np.concatenate([scores(*batch[:cut]), scores(*batch[cut:])])
    assert np.array_equal(whole, parts, equal_nan=True)
    assert ((whole >= 0) & (whole <= 1) | np.isnan(whole)).all()


def test_a_lack_of_support_never_lowers_a_score() -> None:
    for model in (MODELS.part(logistics_of).ungrounded, MODELS.part(logistics_of).irrelevance):
        assert min(model.weights) >= 0
        assert model.intercept < 0


def test_log_odds_of_any_size_give_probabilities() -> None:
    found = Logistic((1.0,), 0.0).probabilities(np.array([[-1e9], [0.0], [1e9]]))
    assert found == pytest.approx([0, 0.5, 1])


def test_the_card_has_the_measured_figures() -> None:
    measured = json.loads((SHIPPED / "groundedness_metrics.json").read_text(encoding="utf-8"))
    card = (SHIPPED / "groundedness.md").read_text(encoding="utf-8")
    for name in DETECTOR.metrics:
        assert f"`{name}`" in card
        row = re.search(rf"\| {name} \| texts.*\n.*\n\| all \| (\d+) \| (\d+) \| ([\d.]+) ", card)
        assert row is not None
        assert float(row[3]) == measured[name]["held_out"]["all"]["auroc"]
    assert min(found["auroc"] for found in measured["ungrounded"]["left_out"].values()) > 0.85
