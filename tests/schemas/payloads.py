"""Events as apps publish them."""

from typing import Any

import msgspec
import pytest

from schemas.codec import Decoder, Rejected
from schemas.events import Event

NOW = 1_800_000_000_000
KAFKA = NOW - 5
REQUIRED = {"event_id": "e1", "app": "chat", "kind": "prompt", "text": "hello"}


def payload(**fields: Any) -> bytes:
    return msgspec.json.encode(REQUIRED | fields)


def decoded(value: bytes | None, **limits: int) -> tuple[Event, int]:
    return Decoder(**limits).decode_event(value, KAFKA, NOW)


def rejection(value: bytes | None, **limits: int) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decoded(value, **limits)
    return caught.value
