"""What the gate remembers is bounded by its size: answers of reviewers, texts that grow."""

from pathlib import Path

import pytest

from detectors.privacy.tail import Tail
from schemas.events import Decision
from streams.gate import holdback, reviews
from streams.gate.holdback import Holdbacks
from streams.gate.keys import Keys
from streams.gate.reviews import Reviews
from streams.settings import Settings
from tests.streams.gate.test_server import Running


def decision(number: int, text: str) -> Decision:
    return Decision(
        decision_id=f"d{number}", event_id=f"e{number}", app="a", kind="prompt", verdict="escalate",
        action="redact", text=text, revision=1,
    )  # fmt: skip


def test_long_answers_of_reviewers_are_not_all_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviews, "MOST_CHARS", 10_000)
    known = Reviews(Settings(_env_file=None))
    for number in range(100):
        for _ in range(2):
            known.take(decision(number, "x" * 900))
    assert list(known._known) == [f"d{number}" for number in range(89, 100)]


async def test_long_texts_that_grow_are_not_all_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdback, "_MOST_CHARS", 10_000)
    made: list[str] = []

    def tail(conversation_id: str) -> Tail:
        made.append(conversation_id)
        return gate.service.tail(conversation_id)

    async with Running(tmp_path, Keys(None)) as gate:
        holdbacks = Holdbacks(tail)
        for number in range(100):
            for length in (400, 900):
                holdbacks.of(decision(number, ""), "x" * length, "x" * length)
    assert len(made) == 100, "of one that grows only what is new is searched"
    assert len(holdbacks._growing) == 11
