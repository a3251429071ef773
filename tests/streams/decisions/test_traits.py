"""What travels beside the scores: whom a text names, its nearest reference, a sketch of what is kept."""

from collections.abc import Iterator

import pytest

from detectors import registry
from detectors.models import sketches
from detectors.runner import Runner
from schemas.events import ScoredEvent, Storage
from streams.decisions.judge import Judge
from streams.decisions.text_storage import Keeper
from streams.policy.file import parse
from tests.models import MODELS
from tests.streams.records import NOW_MS, event

POLICY = """
version: "1"
name: one
rules:
  - {id: one, when: [pii >= 1], action: flag, severity: low}
"""
PLAIN = "Where is the parcel of a woman?"
MAIL = "Write to ada.l@example.com about the parcel"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    file = tmp_path_factory.mktemp("topics") / "shop.txt"
    file.write_text("where is my parcel\nhow to bake bread\n", encoding="utf-8")
    options = {"references": {"files": {"shop": ("topic", file)}}}
    runner = Runner(registry.build(MODELS, ("groups", "references", "pii"), options), MODELS, 5.0)
    yield runner
    runner.close()


def scored(runner: Runner, storage: Storage, *texts: str) -> list[ScoredEvent]:
    policy = parse(POLICY, {metric: runner.owner(metric) for metric in runner.metrics})
    judge = Judge(runner, Keeper(storage, b"k" * 16, runner.finders), lambda: NOW_MS)
    events = [event(text, number) for number, text in enumerate(texts)]
    return judge.judge(events, policy.compile(runner.metrics)).scored


def sketch_of(text: str) -> bytes:
    made = MODELS.part(sketches.load)
    assert made is not None
    return made.of(MODELS.embeddings.embed(MODELS.encoder.encode([text])))[0]


def test_groups_reference_and_sketch_travel_with_the_scores(runner: Runner) -> None:
    [plain, empty] = scored(runner, "redacted", PLAIN, "")
    assert plain.named_groups == ("women",)
    assert plain.nearest_reference == "where is my parcel"
    assert plain.sketch == sketch_of(PLAIN)
    assert (empty.named_groups, empty.nearest_reference, empty.sketch) == ((), "", b"")


def test_the_sketch_is_of_the_text_as_it_is_kept(runner: Runner) -> None:
    [mail] = scored(runner, "redacted", MAIL)
    assert mail.event.text != MAIL
    assert mail.sketch == sketch_of(mail.event.text) != sketch_of(MAIL)


@pytest.mark.parametrize("storage", ["hash", "none"])
def test_of_a_text_that_is_not_kept_there_is_no_sketch(runner: Runner, storage: Storage) -> None:
    assert [each.sketch for each in scored(runner, storage, PLAIN, MAIL)] == [b"", b""]
    assert [each.sketch for each in scored(runner, "full", MAIL)] == [sketch_of(MAIL)]
