"""Dead letters for a person and for a program; what comes from a message is made safe for a terminal."""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.events import DeadLetter
from streams.terminal.command import WIDE, counted, json_text, plain
from streams.terminal.messages import moment
from streams.terminal.table import TextTable

ID = 12
"""Hex digits of an id that the table shows: enough to name a letter by."""
FROM = 24
_HEADER = ("time", "id", "topic", "reason", "from", "bytes", "more", "state")


def table(letters: Sequence[DeadLetter], room: int = WIDE) -> str:
    """Return a table with a line for each letter, `room` columns wide."""
    lines = [
        (
            moment(x.timestamp)[:19],
            x.dead_letter_id[:ID],
            plain(x.topic),
            plain(x.reason),
            _from(x)[:FROM],
            f"{x.size:,}",
            f"{len(x.repeats):,}" if x.repeats else "",
            plain(x.state),
        )
        for x in letters
    ]
    found = TextTable(_HEADER, lines, [name in ("bytes", "more") for name in _HEADER], room)
    return "\n".join([*found.head(), *map(found.row, lines)])


def as_json(letter: DeadLetter, payload: bytes | None = None) -> str:
    """Return one line of JSON; the payload as text where it is UTF-8, else in base64."""
    fields: dict[str, Any] = {
        "dead_letter_id": letter.dead_letter_id,
        "time": moment(letter.timestamp).replace(" ", "T"),
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": letter.timestamp,
        "reason": letter.reason,
        "detail": letter.detail,
        "app": letter.app,
        "key": letter.key.decode(errors="replace"),
        "size": letter.size,
        "messages": 1 + len(letter.repeats),
        "state": letter.state,
    }
    if payload is not None:
        try:
            fields["payload"] = payload.decode()
        except UnicodeDecodeError:
            fields["payload_base64"] = base64.b64encode(payload).decode()
    return json_text(msgspec.json.encode(fields).decode())


def described(letter: DeadLetter, payload: bytes | None, asked: bool) -> list[str]:
    """Return lines that say all about a letter, with the payload where it was `asked` for."""
    lines = [
        f"dead letter  {plain(letter.dead_letter_id)}",
        f"where        {plain(letter.topic)}, partition {letter.partition}, offset {letter.offset}",
        f"time         {moment(letter.timestamp)}",
        f"reason       {plain(letter.reason)}: {plain(letter.detail)}",
        f"app          {plain(letter.app) or '-'}",
        f"key          {_key(letter) or '-'}",
        f"size         {counted(letter.size, 'byte')}",
        f"state        {plain(letter.state) or 'open'}",
    ]
    if letter.repeats:
        more = counted(len(letter.repeats), "further message")
        lines.append(f"stands for   {more} of the partition, up to offset {max(letter.repeats)}")
    if not asked:
        return [*lines, "payload      may hold what a user wrote: --payload shows it"]
    if payload is None:
        return [*lines, "payload      not kept"]
    kept = "" if len(payload) == letter.size else f", the first {counted(len(payload), 'byte')} of it"
    text = payload.decode(errors="backslashreplace")
    return [*lines, f"payload      as it was published{kept}:", *map(plain, text.split("\n"))]


def _from(letter: DeadLetter) -> str:
    return plain(letter.app) or (f"key {_key(letter)}" if letter.key else "")


def _key(letter: DeadLetter) -> str:
    return plain(letter.key.decode(errors="backslashreplace"))
