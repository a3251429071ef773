"""Names that stand for a field of an event: as others write it, as others call it, or misspelt."""

import difflib
import re
from collections.abc import Sequence
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}")
"""What may be repeated: any other name may be a text."""
LEFT_OUT: Final = "`{}` is no field and was left out: is `{}` meant?"
"""What is said of a name, and of the field that it stands for."""
_ELSEWHERE: Final = {
    "session": "conversation_id", "thread": "conversation_id", "chat": "conversation_id", "id": "event_id",
    "org": "tenant", "organization": "tenant", "customer": "tenant", "account": "tenant", "uid": "user",
    "content": "text", "message": "text", "messages": "text", "choices": "text", "candidates": "text",
    "chunk": "text", "token": "text", "duration_ms": "latency_ms", "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens", "documents": "contexts", "application": "app",
    "env": "environment", "type": "kind", "role": "kind", "time": "timestamp", "ts": "timestamp",
    "date": "timestamp", "datetime": "timestamp", "created": "timestamp", "created_at": "timestamp",
}  # fmt: skip
"""What others call the fields of an event, without an ending such as `_id`."""
_ENDING: Final = re.compile(r"_?(?:id|name|key)$")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def meant(name: str, known: Sequence[str]) -> str | None:
    """Return the field of `known` that a name stands for; None where it resembles none, or may be a text."""
    if not _NAME.fullmatch(name):
        return None
    text = "delta" if "delta" in known else "text"
    snake = _HUMP.sub("_", name).lower().replace("-", "_")
    bare = _ENDING.sub("", snake)
    for each in (snake, bare, f"{bare}_id", _ELSEWHERE.get(snake), _ELSEWHERE.get(bare)):
        if each == "text" or each in known:
            return text if each == "text" else each
    return next(iter(difflib.get_close_matches(snake, known, 1, 0.75)), None)
