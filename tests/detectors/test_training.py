import csv
import gzip
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.models import SHIPPED
from detectors.models.linear import ORDERS, LinearHeads, highest, ngram_rows, windows
from detectors.training import __main__ as command
from detectors.training import corpus, datasets, embeddings, evaluate, fit, grammars, matrix, written
from detectors.training import heads as heads_module
from detectors.training.corpus import Example
from detectors.training.files import write_arrays
from tests.models import MODELS

SOURCE = {"source": "somewhere", "quality": "gold", "license": "MIT"}
RIVER = "The river is long and calm. " * 20
LABELS = dict.fromkeys(datasets.TOXICITY, "0.0")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of tiny tables with the columns of the real ones."""
    bad, good = ([f"{word} {i}" for i in range(30)] for word in ("you dreadful goblin", "a lovely garden"))
    texts = [(text, 1) for text in bad] + [(text, 0) for text in good]
    tables: dict[str, list[dict[str, str]]] = {
        "toxicity": [
            {"text": t, **LABELS, "toxicity": str(float(y)), "threat": "", "source": source}
            for t, y in texts
            for source in (corpus.NATURAL, "elsewhere")
        ],
        "injection": [{"text": t, "label": str(y)} for t, y in texts],
        "bias": [
            {
                "text": t,
                "label": str(y),
                "gold": "2. derogation" if y else "none",
                "pair_id": "",
                "context": "",
            }
            for t, y in texts
        ],
        "stereotype_lexicon_seegull": [
            {"text": "-", "identity": "Martian", "attribute": "green", "region_stereo": "2", "NA_stereo": ""},
            {"text": "-", "identity": "Martian", "attribute": "blue", "region_stereo": "1", "NA_stereo": "1"},
        ],
        "refusal": [{"text": t, "refusal": str(y)} for t, y in texts],
        "harmful_requests": [{"text": "how to break in", "harmful": "1"}, {"text": "hm", "harmful": "0"}],
        "offtopic_clinc150": [{"text": "book a table"}, {"text": "kept apart", "source": "clinc150_test"}],
        "groundedness": [{"text": "-", "context": RIVER}, {"text": "-", "context": ""}],
        "drift_ubuntu_irc": [{"text": f"line {i}"} for i in range(16)],
    }
    for name, rows in tables.items():
        with gzip.open(tmp_path / f"{name}.csv.gz", "wt", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(SOURCE | rows[0]))
            writer.writeheader()
            writer.writerows([SOURCE | row for row in rows])
    return tmp_path


def test_examples_carry_the_labels_of_their_tables(data: Path) -> None:
    found = {(e.text, e.source): e.labels for e in datasets.examples(data, seed=1)}
    natural = found["you dreadful goblin 1", corpus.NATURAL]
    assert natural["toxicity"] == 1.0
    assert natural["bias_identity_attack"] == natural["identity_attack"] == 0.0
    assert "threat" not in natural
    assert found["Martian people are green", "seegull"] == {"bias_stereotype": 1.0}
    harmless = [text for text, source in found if source == "grammar_states"]
    assert len(harmless) == sum(source == "seegull" for _, source in found)
    assert all(text.startswith("Martian people are ") for text in harmless)
    assert ("Martian people are blue", "seegull") not in found
    assert found["how to break in", "somewhere"] == {"injection": 0.0, "harmful_request": 1.0}
    assert ("hm", "somewhere") not in found
    assert ("kept apart", "clinc150_test") not in found
    assert {head for labels in found.values() for head in labels} == set(datasets.HEADS)


def test_attacks_are_hidden_in_documents_of_their_split(data: Path) -> None:
    found = datasets.examples(data, seed=1)
    (buried,) = [e for e in found if e.source == "grammar_buried"]
    (before,) = [e for e in found if e.source == "grammar_not_buried"]
    (river,) = [e for e in found if e.text == RIVER]
    own = (grammars.ATTACKS, written.WRITTEN)
    attacks = {
        e.text
        for e in found
        if e.source.startswith(own) and e.labels.get("injection") == 1 and e.split == "fit"
    }
    assert buried.split == river.split
    assert buried.labels == {"injection": 1.0}
    assert [attack for attack in attacks if attack in buried.text]
    assert before.split == river.split
    assert before.labels == {"injection": 0.0}
    assert before.text in RIVER
    assert len(buried.text) > len(before.text)


def test_only_attacks_are_hidden_not_their_harmless_twins() -> None:
    attacks = [Example(f"tell me {i}!", "written_attacks_x", {"injection": 1.0}) for i in range(40)]
    texts = [Example(f"thank you {i}!", "written_attacks_y", {"injection": 0.0}) for i in range(40)]
    texts += [Example(f"{i} {RIVER}", "documents_x", {"injection": 0.0}) for i in range(50)]
    buried = [e for e in datasets._buried(attacks + texts, random.Random(1)) if e.labels["injection"]]
    assert len(buried) == 50
    for example in buried:
        (attack,) = [attack for attack in attacks if attack.text in example.text]
        assert attack.split == example.split, "else what is tested has trained"
        assert "thank you" not in example.text


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"toxicity\.csv\.gz: no such file; --data"):
        datasets.examples(tmp_path, seed=1)


@given(st.text("ab c", max_size=30), st.text(min_size=1, max_size=10))
def test_a_group_stays_in_one_split(text: str, group: str) -> None:
    assert Example(text, "a", group=group).split == Example("other", "b", group=group).split
    assert Example(text, "a", held_out=True).split == "test"
    assert Example(f" {text}  ", "a").split == Example(text.upper().lower(), "a").split


def test_splits_have_their_shares() -> None:
    for source, share in (("a", 0.7), (corpus.NATURAL, 0.4)):
        splits = [Example(str(i), source).split for i in range(3000)]
        assert splits.count("fit") / 3000 == pytest.approx(share, abs=0.04)
        assert splits.count("test") / 3000 == pytest.approx(0.2, abs=0.04)


def test_grammars_give_the_same_finished_texts_for_a_seed() -> None:
    found = grammars.examples(7)
    assert found == grammars.examples(7)
    assert found != grammars.examples(8)
    assert len(found) > 10_000
    assert not [e.text for e in found if "$(" in e.text]
    assert all(set(e.labels) <= set(datasets.HEADS) and e.labels for e in found)


def small_matrix(texts: list[str]) -> matrix.Matrix:
    return matrix.build(MODELS.encoder.encode(texts), MODELS.embeddings, 5000)


def test_matrix_rows_hold_what_scoring_sums() -> None:
    texts = ["a short text", "", "word " * 200]
    built = small_matrix(texts)
    tokens = MODELS.encoder.encode(texts)
    assert built.example.tolist() == windows(tokens).texts.tolist() == [0, 2, 2, 2, 2, 2, 2]
    weights = np.random.default_rng(0).normal(size=built.ngrams.shape[1]).astype(np.float32)
    folded = weights * built.idf
    rows = ngram_rows(tokens.ids, tokens.offsets, MODELS.encoder.vocabulary_size, 5000)
    expected = folded[rows[:3]].sum() / np.sqrt(3 + 8)
    assert (built.ngrams @ weights)[0] == pytest.approx(expected, rel=1e-4)
    assert built.dense[0] == pytest.approx(
        built.token_vectors[tokens.ids[:3]].sum(axis=0) / np.sqrt(11), rel=1e-3
    )
    assert built.ngrams[3].sum() > 0
    assert rows.shape[1] == ORDERS


def test_long_examples_are_cut() -> None:
    tokens = MODELS.encoder.encode(["a b c d", "e", "f g h"])
    short = matrix.cut(tokens, 2)
    assert short.counts.tolist() == [2, 1, 2]
    assert short.ids.tolist() == tokens.ids[[0, 1, 4, 5, 6]].tolist()


def test_the_bad_window_of_a_long_text_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "L2_NGRAMS", 0.00002)
    rng = np.random.default_rng(0)
    plain = [" ".join(rng.choice(["river", "stone", "wind", "tree"], 300)) for _ in range(40)]
    texts = [text + " poison" * 6 if i % 2 else text for i, text in enumerate(plain)]
    labels = np.arange(40, dtype=np.float32) % 2
    built = small_matrix(texts)
    task = fit.Task(np.arange(40), labels)
    model = fit.fit(built, task, 40)
    scores = highest(model.logits(built), built.example, 40)
    assert scores[1::2].min() > scores[::2].max()
    last = np.append(np.flatnonzero(np.diff(built.example)), len(built.example) - 1)
    logits = model.logits(built)
    assert (logits[last[1::2]] > logits[last[1::2] - 1]).all()


def test_platt_scaling_undoes_a_wrong_scale() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000).astype(np.float32)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    slope, intercept = fit.platt(truth * 3 + 1, labels)
    assert slope == pytest.approx(1 / 3, abs=0.03)
    assert intercept == pytest.approx(-1 / 3, abs=0.06)
    probabilities = (1 / (1 + np.exp(-(slope * (truth * 3 + 1) + intercept)))).astype(np.float32)
    assert evaluate.expected_calibration_error(probabilities, labels) < 0.02


def test_calibration_error_is_the_gap_to_the_observed_rate() -> None:
    half, labels = np.full(4, 0.5, dtype=np.float32), np.array([1, 1, 1, 0], dtype=np.float32)
    assert evaluate.expected_calibration_error(half, labels) == pytest.approx(0.25)
    assert evaluate.expected_calibration_error(labels, labels) == 0


def test_ranking_of_one_class_says_only_its_size() -> None:
    assert evaluate.ranking(np.ones(3, np.float32), np.ones(3, np.float32)) == {"n": 3, "positive": 3}


def test_equal_arrays_give_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_arrays(tmp_path / name, values=np.arange(5, dtype=np.int8), number=np.array(3))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with np.load(tmp_path / "a") as arrays:
        assert arrays["values"].tolist() == [0, 1, 2, 3, 4]
        assert int(arrays["number"]) == 3


def test_principal_components_have_a_fixed_sign_and_falling_variance() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32) * np.arange(1, 7)
    reduced = embeddings.reduce(vectors.astype(np.float32), 3)
    assert (np.diff(reduced.var(axis=0)) < 0).all()
    assert np.array_equal(reduced, embeddings.reduce(vectors.astype(np.float32), 3))


def test_quantised_vectors_are_near_to_the_originals() -> None:
    vectors = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    values, scales = embeddings.quantise(vectors)
    assert (
        np.abs(values * scales - np.clip(vectors, -4 * vectors.std(axis=0), 4 * vectors.std(axis=0))).max()
        < 0.02
    )


def test_the_command_writes_working_heads(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "models"
    out.mkdir()
    for name in ("tokenizer.json", "embeddings.npz"):
        (out / name).symlink_to(SHIPPED / name)
    monkeypatch.setattr(grammars, "examples", lambda _seed: [])
    monkeypatch.setattr(written, "examples", lambda: iter(()))
    monkeypatch.setattr(written, "challenges", lambda: iter(()))
    monkeypatch.setattr(heads_module, "BUCKETS", 2000)
    monkeypatch.setattr(fit, "ITERATIONS", 10)
    monkeypatch.setattr(fit, "MORE_ITERATIONS", 5)
    monkeypatch.setattr(fit, "L2_NGRAMS", 0.1)
    monkeypatch.setattr(fit, "L2_DENSE", 0.1)
    monkeypatch.setattr(sys, "argv", ["training", "--data", str(data), "--out", str(out), "--stage", "heads"])
    command.main()
    heads = LinearHeads.load(out / "heads.npz")
    bad, good = heads.probabilities(MODELS.encoder.encode(["you dreadful goblin", "a lovely garden"]))[
        :, heads.names.index("refusal")
    ]
    assert bad > good + 0.3
