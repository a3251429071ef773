"""JSON whose strings end in the name of a password, or hold values of every form, stays JSON."""

import json
import random

import pytest

from detectors.privacy.finders import find_all
from detectors.privacy.redaction import Redactor
from tests.detectors.privacy import test_members, test_providers

REDACTOR = Redactor(b"0123456789abcdef")
PIECES = [
    "password: ", "api_key=", "Enter your token:", "é", "谢", "\\", '"', "\n", " ", ",", "call ", "\u200b",
    "😀", "[EMAIL_0a1b2c]",
    *(text for text, _ in test_members.FOUND),
    *(token for tokens in test_providers.TOKENS.values() for token in tokens if len(token) < 100),
]  # fmt: skip


def redact(text: str) -> str:
    return REDACTOR.redact(text, find_all(text))


@pytest.mark.parametrize("depth", range(4))
def test_a_string_that_ends_in_a_name_takes_nothing_of_the_next(depth: int) -> None:
    rows = [{"password": f"Qr7xdke{i}", "t": "password: ", "n": 4111111111111111} for i in range(3)]
    text = json.dumps([*rows, "password: ", {"x": "api_key: ", "b": "Wachtwoord: kat2024\u00e9"}])
    for _ in range(depth):
        text = json.dumps({"arguments": text})
    text = redact(text)
    for _ in range(depth):
        text = json.loads(text)["arguments"]
    found = json.loads(text)
    assert [row["t"] for row in found[:3]] == ["password: "] * 3
    assert found[3] == "password: "
    assert found[4]["x"] == "api_key: "
    assert "Qr7xdke" not in text
    assert "kat2024" not in text


def document(chance: random.Random) -> object:
    said = "".join(chance.choices(PIECES, k=chance.randrange(1, 6)))
    return chance.choice(
        [said, [said, chance.choice(PIECES)], {"a": said, "b": 12025550142}, 4111111111111111]
    )


@pytest.mark.parametrize("seed", range(4))
def test_json_of_any_values_stays_json_and_holds_nothing_more(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(50):
        names = chance.choices(["password", "api_key", "phone", "n", "text", "token"], k=3)
        text = json.dumps({name: document(chance) for name in names}, ensure_ascii=chance.random() < 0.5)
        layers = chance.randrange(3)
        for _ in range(layers):
            text = json.dumps({"arguments": text})
        once = redact(text)
        assert find_all(once) == []
        inner = once
        for _ in range(layers):
            inner = json.loads(inner)["arguments"]
        assert len(json.loads(inner)) == len(set(names))
