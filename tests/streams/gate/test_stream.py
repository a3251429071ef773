"""Streamed completions, over the real detectors: nothing raw goes out, and one decision is recorded."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, WSMessage, WSMsgType

from detectors.privacy.finders import find_all
from detectors.privacy.redaction import Redactor
from schemas import codec, topics
from schemas.events import MOST_ENTRIES, Decision, ScoredEvent
from streams.gate.keys import Keys
from streams.gate.stream import ROUND, Stream
from streams.gate.stream_http import Conversation
from streams.gate.stream_lines import Line, LineError, body_lines, event_of, socket_lines
from tests.streams.gate.test_server import Running
from tests.waiting import wait_until

HEAD = {"app": "shop", "event_id": "c1", "conversation_id": "talk"}
ANSWER = (
    "Of course. You can write to jane.doe@example.com or call +1 415 555 0132, and the card on file is "
    "4111 1111 1111 1111. Your order 12 is due in 2 days: please be at home by 10:30. Anything else?"
)
VALUES = ("jane.doe", "415 555", "4111")
INSULT = "You are a stupid worthless idiot and everybody hates you. "
CALM = "The weather in the mountains is mild and the paths are dry at this time of the year. "
PAUSE = b"a long pause"
CLOSED = (
    'version: "1"\nname: closed\nrules:\n  - id: closed\n    when: [toxicity >= 0.8]\n'
    "    action: block\n    on_failure: closed\n"
)


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Running]:
    async with Running(tmp_path, Keys(None)) as running:
        yield running


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Running]:
    """Blocks what is toxic, and what was not judged in time."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(CLOSED)
    async with Running(tmp_path, Keys(None), policy=policy) as running:
        yield running


def redaction(text: str) -> str:
    return Redactor(b"k" * 32).redact(text, find_all(text), "talk")


def lines(deltas: Iterable[str], **head: Any) -> list[bytes]:
    return [
        json.dumps(each).encode() + b"\n" for each in (HEAD | head, *({"delta": each} for each in deltas))
    ]


async def paced(given: Iterable[bytes], pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for each in given:
        if each != PAUSE:
            yield each
        await asyncio.sleep(60 if each == PAUSE else pause_s)


async def streamed(
    http: ClientSession, given: Iterable[bytes], pause_s: float = 0.0, **headers: str
) -> list[dict[str, Any]]:
    """Return the messages that come back, from lines or server-sent events."""
    async with http.post("/v1/stream", data=paced(given, pause_s), headers=headers) as response:
        assert response.status == 200, await response.text()
        raw = [line async for line in response.content]
    return [json.loads(line.removeprefix(b"data: ")) for line in raw if line.strip()]


def joined(messages: Iterable[dict[str, Any]]) -> str:
    return "".join(message.get("delta", "") for message in messages)


async def recorded(gate: Running) -> tuple[Decision, ScoredEvent]:
    """Return what was recorded, once."""
    [decision] = [codec.decode(Decision, value) for value in await gate.sent(topics.DECISIONS)]
    [scored] = [codec.decode(ScoredEvent, value) for value in await gate.sent(topics.SCORES)]
    return decision, scored


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
async def test_what_goes_out_is_redacted_and_the_whole_is_recorded_once(gate: Running, accept: str) -> None:
    messages = await streamed(gate.http, lines(ANSWER), Accept=accept)
    assert len(messages) > 5
    assert not [m for m in messages if any(value in m.get("delta", "") for value in VALUES)]
    assert joined(messages) == redaction(ANSWER)
    assert messages[-1]["complete"]
    answer = messages[-1]["decision"]
    assert (answer["action"], answer["recorded"], answer["event_id"]) == ("redact", True, "c1")
    assert answer["text"] == joined(messages)
    decision, scored = await recorded(gate)
    assert decision.decision_id == answer["decision_id"] == codec.decision_id("shop", "c1")
    assert scored.event.text == redaction(ANSWER)
    assert scored.event.kind == "completion"


@pytest.mark.parametrize("length", [4, 200])
async def test_a_value_spelt_out_and_in_plain_is_redacted_twice(gate: Running, length: int) -> None:
    text = "To j-a-n-e-@-e-x-a-m-p-l-e-.-c-o-m or to jane@example.com today, whichever you like best."
    messages = await streamed(gate.http, lines(text[at : at + length] for at in range(0, len(text), length)))
    assert joined(messages) == redaction(text) == messages[-1]["decision"]["text"]
    assert joined(messages).count("[EMAIL_") == 2


async def test_over_a_websocket_the_same_goes_out(gate: Running) -> None:
    async with gate.http.ws_connect("/v1/stream") as socket:
        for line in lines([ANSWER[place : place + 7] for place in range(0, len(ANSWER), 7)]):
            await socket.send_bytes(line)
        await socket.send_str('{"done": true, "finish_reason": "stop", "completion_tokens": 60}')
        messages = [json.loads(m.data) async for m in socket if m.type == WSMsgType.TEXT]
    assert joined(messages) == redaction(ANSWER)
    assert messages[-1]["decision"]["action"] == "redact"
    _, scored = await recorded(gate)
    assert (scored.event.finish_reason, scored.event.completion_tokens) == ("stop", 60)


async def test_text_comes_while_the_completion_is_still_being_written(gate: Running) -> None:
    waiting: asyncio.Queue[bytes] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        while line := await waiting.get():
            yield line

    for line in lines([CALM]):
        waiting.put_nowait(line)
    async with gate.http.post("/v1/stream", data=body()) as response:
        first = json.loads(await asyncio.wait_for(response.content.readline(), 60))
        assert CALM.startswith(first["delta"])
        assert len(first["delta"]) > len(CALM) - 40
        waiting.put_nowait(b"")
        assert b"decision" in (await response.content.read())


async def test_a_stream_is_stopped_while_it_is_written(strict: Running) -> None:
    pieces = [CALM] * 6 + [INSULT] * 12 + [CALM] * 4_000
    messages = await streamed(strict.http, lines(pieces), 0.02)
    assert messages[-1]["decision"]["action"] == "block"
    assert joined(messages).startswith(CALM * 6)
    assert len(joined(messages)) < len(CALM) * 2_000
    decision, _ = await recorded(strict)
    assert decision.action == "block"


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_burst_is_stopped_before_all_of_it_is_out(strict: Running, at_once: bool) -> None:
    pieces = [CALM] * 6 + [INSULT] * 12 + [CALM] * 300
    messages = await streamed(strict.http, lines(["".join(pieces)] if at_once else pieces))
    assert messages[-1]["decision"]["action"] == "block"
    seen = 0 if at_once else len("".join(pieces[:18])) + 3 * ROUND
    assert len(joined(messages)) <= seen


async def test_rounds_are_no_events(gate: Running) -> None:
    rounds = []
    judged = gate.service.judged

    async def counting(event: Any, within_s: float) -> Any:
        rounds.append(type(event).__name__)
        return await judged(event, within_s)

    gate.service.judged = counting  # type: ignore[method-assign]

    def until_two_rounds() -> Iterator[bytes]:
        yield from lines([CALM] * 60)
        while rounds.count("Part") < 2:
            yield json.dumps({"delta": CALM}).encode() + b"\n"

    await streamed(gate.http, until_two_rounds(), 0.005)
    assert rounds[-1] == "Event"
    await recorded(gate)
    sample = gate.telemetry.registry.get_sample_value
    actions = ("allow", "flag", "redact", "block")
    assert sum(sample("weir_decisions_total", {"action": each}) or 0 for each in actions) == 1
    assert (sample("weir_gate_stream_held_chars_count") or 0) > 10
    assert (sample("weir_gate_stream_delay_seconds_count") or 0) > 10


async def test_a_client_that_leaves_is_recorded_all_the_same(
    gate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, fed, all_came = Stream.feed, list[str](), asyncio.Event()

    async def noting(stream: Stream, delta: str) -> str:
        given = await feed(stream, delta)
        fed.append(delta)
        if "".join(fed) == CALM + ANSWER + ANSWER:
            all_came.set()
        return given

    monkeypatch.setattr(Stream, "feed", noting)
    leaving = asyncio.create_task(streamed(gate.http, [*lines([CALM, ANSWER, ANSWER]), PAUSE]))
    await all_came.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await asyncio.to_thread(wait_until, lambda: gate.sender.sent, "it is recorded")
    decision, scored = await recorded(gate)
    assert decision.action == "redact"
    assert scored.event.text.startswith(CALM)


@pytest.mark.parametrize("tail", ["drop", "pass"])
@pytest.mark.parametrize("broken", ["garbage", "idle", "aborted"])
async def test_what_breaks_off_ends_as_the_setting_says(tmp_path: Path, tail: str, broken: str) -> None:
    async with Running(tmp_path, Keys(None), gate_stream_tail=tail, gate_stream_idle_s=1.0) as gate:
        text = CALM + "Write to jane.doe@exam"
        given = lines([CALM, text[len(CALM) :]])
        given += {
            "garbage": [b'{"delta": 7, "jane.doe@example.com"}\n'],
            "idle": [PAUSE],
            "aborted": [b'{"aborted": true}\n', PAUSE],
        }[broken]
        messages = await streamed(gate.http, given)
    assert "error" in messages[-2 if tail == "drop" else -3]
    assert not messages[-1]["complete"]
    assert "jane.doe@example.com" not in json.dumps(messages)
    if tail == "drop":
        assert "exam" not in joined(messages)
    else:
        assert joined(messages) == text


async def test_when_nothing_more_can_be_recorded_the_stream_says_so(gate: Running) -> None:
    gate.sender.failures = 10_000
    gate.outbox._max_bytes = 10
    messages = await streamed(gate.http, lines([CALM, ANSWER]))
    assert messages[-1]["error"]["type"] == "outbox_full"
    assert "home by 10:30. Anything else" not in joined(messages)


@pytest.mark.parametrize(
    "first",
    [b"{", b"[]\n", b'{"kind": "jane"}\n', b'{"text": "x"}\n', b"\xff\n", b'{"deadline_ms": -1}\n', b""],
)
async def test_a_first_line_that_is_wrong_is_refused(gate: Running, first: bytes) -> None:
    async with gate.http.post("/v1/stream", data=first) as response:
        assert response.status == 400
        assert "jane" not in json.dumps(await response.json())
    async with gate.http.ws_connect("/v1/stream") as socket:
        await socket.send_bytes(first)
        await socket.send_bytes(b"{")
        messages = [json.loads(m.data) async for m in socket if m.type == WSMsgType.TEXT]
    assert "error" in messages[0]
    assert not [m for m in messages if m.get("delta")]


async def test_null_says_nothing_as_in_the_chunks_of_models(gate: Running) -> None:
    given = [{"app": "shop", "user": None}, {"delta": None, "finish_reason": None}, {"delta": CALM}]
    ended = [{"delta": "\ud83d", "tool_calls": None}, {"delta": "\ude00", "done": None}, {"done": True}]
    messages = await streamed(gate.http, [json.dumps(each).encode() + b"\n" for each in (*given, *ended)])
    assert joined(messages) == CALM + "\U0001f600"
    assert messages[-1]["complete"]


@pytest.mark.parametrize("end", ["done", "aborted"])
@pytest.mark.parametrize("later", [b'{"delta": "and more", "finish_reason": "x"}', b"no JSON"])
async def test_nothing_is_read_after_the_line_that_ends_it(gate: Running, end: str, later: bytes) -> None:
    last = json.dumps({"delta": "So", end: True, "finish_reason": "stop"}).encode()
    messages = await streamed(gate.http, [b"".join([*lines([CALM]), last, b"\n", later, b"\n"])])
    assert [each["error"]["message"] for each in messages if "error" in each] == (
        [] if end == "done" else ["it was aborted"]
    )
    _, scored = await recorded(gate)
    assert (scored.event.text, scored.event.finish_reason) == (CALM + "So", "stop")


@pytest.mark.parametrize(
    ("name", "value"),
    [("app", "bank"), ("event_id", "c2"), ("conversation_id", "other"), ("tenant", "t"), ("redact", False)],
)
async def test_a_line_of_another_completion_is_not_taken_for_one_of_this(
    gate: Running, name: str, value: object
) -> None:
    again = json.dumps({"delta": "again. ", **HEAD}).encode()
    other = json.dumps({"delta": "of another", name: value}).encode()
    messages = await streamed(gate.http, [b"\n".join([*lines([CALM]), again, other])])
    [message] = [each["error"]["message"] for each in messages if "error" in each]
    assert f"line 4: `{name}`" in message
    assert not messages[-1]["complete"]
    _, scored = await recorded(gate)
    assert scored.event.text == CALM + "again. "


async def test_what_comes_too_late_or_under_another_name_is_said(gate: Running) -> None:
    late = {"delta": "So.", "prompt": "What?", "contexts": ["a"], "timestamp": 1, "cost": 1.0}
    messages = await streamed(gate.http, [*lines([CALM], modle="m"), json.dumps(late).encode()])
    misspelt, too_late = messages[-1]["warnings"]
    assert "`modle`" in misspelt
    assert too_late.startswith("`contexts`, `prompt`: ")
    assert messages[-1]["complete"]
    assert "warnings" not in (await streamed(gate.http, lines([CALM], event_id="c2")))[-1]


@pytest.mark.parametrize("chunk", [{"content": "Hi"}, {"choices": [{"delta": {"content": "Hi"}}]}])
async def test_text_that_stands_elsewhere_is_not_taken_for_an_empty_completion(
    gate: Running, chunk: dict[str, Any]
) -> None:
    messages = await streamed(gate.http, [*lines([]), json.dumps(chunk).encode()])
    assert "is `delta` meant?" in messages[0]["error"]["message"]
    assert not messages[-1]["complete"]


async def test_a_deadline_that_is_none_is_refused_where_it_stands(gate: Running) -> None:
    async with gate.http.post("/v1/stream", data=b'{"deadline_ms": 0}\n') as response:
        message = (await response.json())["error"]["message"]
    assert "deadline_ms" in message
    assert "X-Weir" not in message
    for given in ("0", "nan", "soon", "1e9", ""):
        headers = {"X-Weir-Deadline-Ms": given}
        async with gate.http.post("/v1/stream", data=b"{}\n", headers=headers) as response:
            assert response.status == 400
            assert "X-Weir-Deadline-Ms" in (await response.json())["error"]["message"]


async def test_pieces_of_a_megabyte(tmp_path: Path) -> None:
    large = (CALM * 9_000)[:700_000] + ANSWER
    async with Running(tmp_path, Keys(None)) as gate:
        messages = await streamed(gate.http, lines([large]))
        assert joined(messages) == redaction(large)
        messages = await streamed(gate.http, lines(["a " * 300_000] * 4, event_id="c2"))
    assert "larger than an event" in messages[-2]["error"]["message"]
    assert not messages[-1]["complete"]


async def test_more_tool_calls_than_an_event_may_have(gate: Running) -> None:
    calls = [json.dumps({"tool_calls": [{"name": "look", "arguments": "{}"}] * 2_500}).encode() + b"\n"] * 2
    messages = await streamed(gate.http, [*lines([CALM])[:-1], *calls, lines([])[-1]])
    assert "larger than an event" in messages[-2]["error"]["message"]
    assert not messages[-1]["complete"]
    assert len((await recorded(gate))[1].event.tool_calls) == MOST_ENTRIES


async def test_thirty_thousand_pieces(gate: Running) -> None:
    text = (CALM + ANSWER) * 130
    data = b"".join(lines(text[:30_000]))
    messages = await streamed(gate.http, [data])
    assert joined(messages) == redaction(text[:30_000])


async def test_what_is_not_judged_in_time_is_decided_by_the_rules(strict: Running) -> None:
    messages = await streamed(strict.http, lines([CALM], deadline_ms=0.001))
    answer = messages[-1]["decision"]
    assert answer["action"] == "block"
    assert "toxicity" in answer["failed"]
    assert joined(messages) != CALM


async def test_text_may_go_out_as_it_is(gate: Running) -> None:
    messages = await streamed(gate.http, lines(ANSWER, redact=False))
    assert joined(messages) == ANSWER


async def test_litellm_is_told_how_much_of_a_stream_may_still_change(gate: Running) -> None:
    """As its `incremental_diff` does it: what was sent must be the beginning of every later text."""
    asked = {"input_type": "response", "litellm_call_id": "c9", "request_data": {}}
    sent = ""
    for end in (*range(9, len(ANSWER), 9), len(ANSWER)):
        answer = await gate.ask(
            "/beta/litellm_basic_guardrail_api", asked | {"texts": [ANSWER[:end], CALM[:end]]}
        )
        [text, calm], [holdback, of_calm] = answer["texts"], answer["stream_holdback_chars"]
        assert text.startswith(sent)
        sent = text[: max(len(sent), len(text) - holdback)]
        assert not any(value in sent for value in VALUES)
        assert 0 <= of_calm <= len(calm)
    redacted = Redactor(b"k" * 32).redact(ANSWER, find_all(ANSWER), "c9")
    assert text == redacted
    assert len(sent) > len(redacted) - 60


async def test_a_reader_that_is_slow_slows_down_the_writer(gate: Running) -> None:
    """No more is read than was sent: what waits is in nobody's memory."""
    read = 0

    async def source() -> AsyncIterator[list[bytes]]:
        nonlocal read
        for line in lines([CALM] * 1000):
            read += 1
            yield [line]

    async def stuck(_: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    opened = _opener(gate)
    conversation = Conversation(source(), opened, gate.settings)
    stream, first = await conversation.begin()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(conversation.run(stream, first, stuck), 0.5)
    stream.close()
    assert read <= 3


async def test_who_reads_nothing_ends_the_stream_which_is_recorded(tmp_path: Path) -> None:
    async with Running(tmp_path, Keys(None), gate_stream_idle_s=0.1) as gate:

        async def source() -> AsyncIterator[list[bytes]]:
            for line in lines([CALM] * 3):
                yield [line]

        async def stuck(_: dict[str, Any]) -> None:
            await asyncio.Event().wait()

        conversation = Conversation(source(), _opener(gate), gate.settings)
        stream, first = await conversation.begin()
        with pytest.raises(ConnectionError):
            await conversation.run(stream, first, stuck)
        decision, _ = await recorded(gate)
        assert decision.event_id == "c1"


@pytest.mark.parametrize("end", ["", "\ud83d"])
async def test_characters_are_whole_wherever_a_client_cuts_them(gate: Running, end: str) -> None:
    """JavaScript cuts a text between UTF-16 units."""
    text = "Fine \U0001f600, write to jane.doe@example.com \U0001f3f3\ufe0f\u200d\U0001f308 at once "
    raw = text.encode("utf-16-le") + end.encode("utf-16-le", "surrogatepass")
    units = [raw[place : place + 2].decode("utf-16-le", "surrogatepass") for place in range(0, len(raw), 2)]
    messages = await streamed(gate.http, lines(units))
    assert joined(messages) == redaction(text + "\ufffd" * len(end))
    assert messages[-1]["complete"]


async def test_a_message_of_a_websocket_may_hold_several_lines_or_none(gate: Running) -> None:
    async with gate.http.ws_connect("/v1/stream") as socket:
        for message in (b"".join(lines([CALM])), b"", b"\n", b'{"delta": "So"}\n{"done": true}\n'):
            await socket.send_bytes(message)
        messages = [json.loads(m.data) async for m in socket if m.type == WSMsgType.TEXT]
    assert joined(messages) == CALM + "So"
    assert messages[-1]["complete"]


async def test_the_calls_of_every_line_are_judged(gate: Running) -> None:
    secret, harmless = json.dumps({"key": "AKIA" + "Q3EGRIZ5IH6EXB7M"}), "{}"
    for number, arguments in enumerate([(secret, harmless), (harmless, secret)]):
        calls = [
            json.dumps({"tool_calls": [{"name": "mail", "arguments": each}]}).encode() for each in arguments
        ]
        messages = await streamed(gate.http, [b"\n".join([*lines([], event_id=f"t{number}"), *calls])])
        assert messages[-1]["decision"]["action"] == "block", arguments


async def test_a_line_in_single_bytes_is_one_line() -> None:
    async def content() -> AsyncIterator[bytes]:
        for byte in b'{"delta": "a"}\n\n{"delta": "b"}':
            yield bytes([byte])

    class Content:
        iter_any = staticmethod(content)

    assert [line async for part in body_lines(Content, 100) for line in part] == [
        b'{"delta": "a"}',
        b'{"delta": "b"}',
    ]
    with pytest.raises(LineError):
        assert [part async for part in body_lines(Content, 10)]


async def test_many_lines_of_one_message_are_read_in_several_goes() -> None:
    async def messages() -> AsyncIterator[WSMessage]:
        yield WSMessage(WSMsgType.BINARY, b"{}\n" * 5_000, None)

    together = aiter(socket_lines(messages()))  # type: ignore[arg-type]
    assert [len(await anext(together)) for _ in range(10)] == [500] * 10


async def test_to_get_without_a_websocket_says_what_to_do(gate: Running) -> None:
    async with gate.http.get("/v1/stream") as response:
        assert (response.status, (await response.json())["error"]["type"]) == (400, "no_websocket")


def _opener(gate: Running) -> Callable[[Line], Stream]:
    def opened(line: Line) -> Stream:
        return Stream(gate.service, event_of(line, "a"), gate.telemetry, within_s=2, drop=True)

    return opened
