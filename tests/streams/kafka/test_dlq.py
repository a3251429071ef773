"""Dead letters as the topic tells them: each once, with the last thing that was done about it."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from schemas import codec
from schemas.events import DeadLetter
from streams.kafka.dlq import DROPPED, REPUBLISHED, Letters, marked, messages, moment_ms
from streams.kafka.republish import mended
from streams.terminal.dead_letters import as_json, described, table
from tests.streams.records import NOW_MS


def letter(offset: int = 0, **fields: Any) -> DeadLetter:
    given = {
        "dead_letter_id": f"{offset:032x}", "topic": "llm.events", "partition": 0, "offset": offset,
        "timestamp": NOW_MS + offset, "reason": "invalid_json", "detail": "why", "size": 4,
        "payload": b"text",
        **fields,
    }  # fmt: skip
    return DeadLetter(**given)


def letters(*values: DeadLetter) -> Letters:
    made = Letters()
    for value in values:
        made.add(codec.encode(value))
    return made


@pytest.mark.parametrize("state", [REPUBLISHED, DROPPED])
def test_what_was_done_stays_done_also_when_the_letter_comes_again(state: str) -> None:
    one, other = letter(1), letter(2)
    made = letters(one, other)
    for _, value in marked(made.find(one.dead_letter_id), state):
        made.add(value)
    assert made.chosen(handled=False) == [replace(other, payload=b"")]
    made.add(codec.encode(one))  # a replay
    assert [x.state for x in made.chosen()] == [state, ""]


def test_a_mark_repeats_no_payload_and_keeps_the_row() -> None:
    [(key, value)] = marked([letter(1)], DROPPED)
    mark = codec.decode(DeadLetter, value)
    assert mark == replace(letter(1), payload=b"", state=DROPPED)
    assert key == mark.dead_letter_id.encode()


def test_messages_of_a_flood_are_counted_once() -> None:
    found = letters(letter(5, repeats=(6, 7, 9)), letter(6, repeats=(7, 8)), letter(5, repeats=(6, 10)))
    assert messages(found.chosen()) == 6
    assert len(found) == 2


def test_what_is_no_letter_is_counted() -> None:
    made = Letters()
    made.add(b"{")
    made.add(None)
    assert (len(made), made.unreadable) == (0, 2)


def test_letters_are_chosen() -> None:
    made = letters(letter(1, app="shop"), letter(2, reason="empty"), letter(3))
    assert [x.offset for x in made.chosen(reason="empty")] == [2]
    assert [x.offset for x in made.chosen(app="shop")] == [1]
    assert [x.offset for x in made.chosen(since_ms=NOW_MS + 2)] == [2, 3]
    assert [x.offset for x in made.find("0" * 31)] == [1, 2, 3]


def test_what_comes_from_a_message_does_nothing_to_a_terminal() -> None:
    evil = letter(app="a\x1b[2J", key="k\u202e\x9b".encode(), detail="\x07", reason="r\x1b")
    shown = "\n".join([table([evil]), *described(evil, b"\x1b]0;x\x07 \xff\n\xc2\x9b2J", True)])
    assert shown.replace("\n", "").isprintable()
    assert "text" not in "\n".join(described(letter(), b"text", False))
    assert "\x1b" not in as_json(evil, b"\x1b")


def test_a_payload_goes_to_json_and_back() -> None:
    for payload in ('{"text": "ü"}'.encode(), b"\xff\x00"):
        line = as_json(letter(3), payload).encode()
        assert mended([line, b"\n"]) == {letter(3).dead_letter_id: payload}
    entry = {"dead_letter_id": "ab", "payload": {"app": "shop"}}
    assert mended([json.dumps(entry).encode()]) == {"ab": b'{"app":"shop"}'}
    for bad in (b"{", b"[]", b'{"payload": "x"}', b'{"dead_letter_id": "x"}'):
        with pytest.raises(ValueError, match="line 2: expected"):
            mended([b"\n", bad])


def test_since() -> None:
    assert moment_ms("2030-01-31T12:00:00Z") == moment_ms("2030-01-31 12:00") == 1_896_091_200_000
    assert moment_ms("1h") - moment_ms("2h") == pytest.approx(3_600_000, abs=1000)
    for bad in ("", "h", "soon", "-1h"):
        with pytest.raises(ValueError, match=r".*"):
            moment_ms(bad)
