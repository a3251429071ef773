"""Metadata are kept without personal data and secrets: in names, in values, and where a name tells."""

from collections.abc import Callable, Iterator

import pytest

from detectors import registry
from detectors.runner import Runner
from schemas.events import Event, ScoredEvent
from streams.decisions.judge import Judge
from streams.decisions.scoring import owners
from streams.decisions.text_storage import Keeper
from streams.policy.file import parse
from tests.models import MODELS

POLICY = "version: '1'\nname: t\nrules:\n  - {id: r, when: [pii > 0], action: flag}\n"
Keeping = Callable[..., ScoredEvent]


@pytest.fixture(scope="module")
def keep() -> Iterator[Keeping]:
    runner = Runner(registry.build(MODELS, ("pii", "secrets")), MODELS, 30.0)
    policy = parse(POLICY, owners(runner), runner.ranges).compile(runner.metrics)

    def kept(metadata: dict[str, str], text: str = "hello") -> ScoredEvent:
        event = Event(event_id="1", app="a", kind="prompt", text=text, metadata=metadata)
        return Judge(runner, Keeper("redacted", b"k" * 16)).judge([event], policy).scored[0]

    yield kept
    runner.close()


@pytest.mark.parametrize(
    ("metadata", "leaked", "kind"),
    [
        ({"jane@shop-mail.org": "x"}, "jane@", "EMAIL"),
        ({"note": "jane@shop-mail.org"}, "jane@", "EMAIL"),
        ({"password": "hunter2-Secret9"}, "hunter2", "PASSWORD"),
        ({"db_password": "Qr7!dke#39"}, "Qr7", "PASSWORD"),
        ({"Passwort": "geheim123"}, "geheim", "PASSWORD"),
        ({"passwort": "p\u00e4ssw\u00f6rt99"}, "rt99", "PASSWORD"),
        ({"密码": "hunter2x9!"}, "hunter2", "PASSWORD"),
        ({"api_key": "f1c2a3b4d5e6f708192a3b4c5d6e7f80"}, "f1c2a3", "SECRET"),
        ({"phone": "2025550142"}, "2025550142", "PHONE"),
        ({"passport": "X1234567"}, "X1234567", "PASSPORT"),
        ({"j%61ne%40shop-mail.org": "x"}, "shop-mail", "EMAIL"),
        ({"password": "hunter\u200b2-Secret9"}, "Secret9", "PASSWORD"),
    ],
)
def test_metadata_are_cleaned(keep: Keeping, metadata: dict[str, str], leaked: str, kind: str) -> None:
    scored = keep(metadata)
    assert leaked not in str(scored.event.metadata)
    assert scored.pii_types == (kind,)
    assert "pii_email" not in scored.scores, "what an app says of an event is not what its user says"


@pytest.mark.parametrize(
    "metadata",
    [
        {"team": "red", "ticket": "4711", "url": "https://shop.example/a"},
        {"password_strength": "high", "token_count": "123456789", "keyboard": "qwertz42", "pinned": "2024"},
        {
            "secretName": "my-app-tls-cert-2024",
            "phone_model": "iPhone15",
            "author": "jane",
            "mailbox": "inbox7",
        },
        {"api_key_id": "550e8400-e29b-41d4-a716-446655440000", "tokens": "4096", "tel_aviv": "1234567"},
    ],
)
def test_ordinary_metadata_stay(keep: Keeping, metadata: dict[str, str]) -> None:
    scored = keep(metadata)
    assert scored.event.metadata == metadata
    assert scored.pii_types == ()
