"""What a hostile or a clumsy client sends costs it its answer, and nobody else anything."""

import asyncio
import gc
import gzip
import json
import logging
import selectors
import socket
import threading
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from schemas import codec, topics
from schemas.events import Event, ScoredEvent
from streams.gate import connections, heads, misspelt, reading, remembered, server, turns, webhooks
from streams.gate.batcher import BusyError
from streams.gate.holdback import Holdbacks
from streams.gate.keys import Keys, hash_of
from tests.harness import wait_until
from tests.streams.gate.test_server import ATTACK, HARMLESS, LITELLM_PATH, PERSON, Running

CANARY = "canary text of a request"


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Running]:
    async with Running(tmp_path, Keys(None)) as running:
        yield running


async def raw(gate: Running, data: bytes, *, more: bytes = b"", within_s: float = 60) -> bytes:
    """Send bytes as they are; return all that comes until the server closes or is silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    try:
        writer.write(data + more)
        return await asyncio.wait_for(reader.read(), within_s)
    finally:
        writer.close()


def post(path: str, body: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


BODY = json.dumps({"app": "a", "text": HARMLESS}).encode()
STREAM = b'{"app": "a"}\n{"delta": "The weather is mild."}\n'


@pytest.mark.parametrize("path", ["/v1/check", "/portkey", LITELLM_PATH])
async def test_a_value_that_is_not_allowed_is_not_repeated(gate: Running, path: str) -> None:
    body = dict.fromkeys(("kind", "eventType", "input_type"), CANARY) | {"text": "a", "texts": []}
    error = (await gate.ask(path, body, 400))["error"]
    assert "value is not allowed" in error["message"]
    assert CANARY not in json.dumps(error)


@pytest.mark.parametrize(
    "half", [rb"\ud83d", rb"\udc00 b", b"\xff", b"\xed\xa0\xbd"], ids=["first", "second", "byte", "raw"]
)
async def test_what_is_half_a_character_is_judged_as_on_kafka(gate: Running, half: bytes) -> None:
    """JavaScript makes it of every text that it shortens in the middle of an emoji."""
    text = b'"Is it true? ' + half + b'"'
    for path, body in (
        ("/v1/check", b'{"text": %s}'),
        ("/v1/moderations", b'{"input": %s}'),
        (LITELLM_PATH, b'{"input_type": "request", "texts": [%s]}'),
        ("/request", b'{"body": {"messages": [{"content": %s}]}}'),
        ("/portkey", b'{"eventType": "beforeRequestHook", "request": {"json": {"prompt": %s}}}'),
    ):
        await gate.ask(path, body % text)
    event = b'[{"event_id": "1", "kind": "prompt", "text": %s}]' % text
    assert (await gate.ask("/v1/events", event, 202, {"X-Weir-App": "a"}))["accepted"] == 1
    kept = [codec.decode(ScoredEvent, value).event.text for value in await gate.sent(topics.SCORES)]
    assert len(kept) == 5
    assert all(each.startswith("Is it true? \ufffd") for each in kept)


async def test_a_header_that_is_not_utf_8_is_no_fault_of_ours(gate: Running) -> None:
    head = post("/v1/check", b'{"text": "a"}', "Connection: close")
    answer = await raw(gate, head.replace(b"Host:", b"X-Weir-App: a\xff\r\nHost:"))
    assert b" 200 " in answer.splitlines()[0]


async def test_one_request_holds_so_many_texts_and_no_more(gate: Running) -> None:
    many = ["a"] * (reading.MOST_TEXTS + 1)
    for path, body in (
        ("/v1/moderations", {"input": many}),
        (LITELLM_PATH, {"input_type": "request", "texts": many}),
        ("/request", {"body": {"messages": [{"content": each} for each in many]}}),
    ):
        assert (await gate.ask(path, body, 413))["error"]["type"] == "too_many"
    lines = b"{}\n" * (server.MOST_LINES + 1)
    assert (await gate.ask("/v1/events", lines, 413))["error"]["type"] == "too_many"


@pytest.mark.parametrize("sign", [b"[]", b"{}", b'""', b"1"])
async def test_so_many_parts_that_to_read_them_holds_up_all_others_are_refused(
    gate: Running, monkeypatch: pytest.MonkeyPatch, sign: bytes
) -> None:
    monkeypatch.setattr(reading, "MOST_SIGNS", dict.fromkeys(reading.MOST_SIGNS, 30))
    for path, before in (
        ("/v1/check", b'{"text": "a", "contexts": ['),
        ("/v1/moderations", b'{"input": ['),
        (LITELLM_PATH, b'{"input_type": "request", "texts": ['),
        ("/request", b'{"body": {"x": 0, "messages": ['),
        ("/v1/events", b'{"x": {"y": ['),
    ):
        body = before + b",".join([sign] * 32) + b"]" + b"}" * before.count(b"{")
        assert (await gate.ask(path, body, 413))["error"]["type"] == "too_many", path


async def test_signs_in_a_text_are_no_parts_and_a_text_that_does_not_end_hides_none(
    gate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_SIGNS", dict.fromkeys(reading.MOST_SIGNS, 30))
    for sign in ("[", "{", ",", '"', "\\", '\\"[', '"\\\n{'):
        answer = await gate.ask("/v1/check", {"app": "a", "text": HARMLESS + sign * 40})
        assert not answer.get("failed"), sign
    for before in (b'{"x": "a"}\n"\n', b'{"x": "\\\\", "y": ', b'{"x": "\\\\\\"", "y": ', b'"\\"\r'):
        for part in (b"[", b"{", b",", b'""'):
            error = (await gate.ask("/v1/events", before + part * 31, 413))["error"]
            assert error["type"] == "too_many", (before, part)


async def test_what_is_read_of_a_large_body_is_read_in_a_thread(
    gate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def noting(call: Any) -> Any:
        def noted(*given: Any, **more: Any) -> Any:
            threads.append(threading.current_thread() is threading.main_thread())
            return call(*given, **more)

        return noted

    monkeypatch.setattr("streams.gate.server.decoded", noting(reading.decoded))
    monkeypatch.setattr(misspelt, "warnings", noting(misspelt.warnings))
    monkeypatch.setattr(misspelt, "of_lines", noting(misspelt.of_lines))
    monkeypatch.setattr(reading, "check_parts", noting(reading.check_parts))
    monkeypatch.setattr(webhooks, "texts_in", noting(webhooks.texts_in))
    padding = "a" * reading.ON_LOOP
    await gate.ask("/v1/check", {"text": HARMLESS, "x": padding})
    await gate.ask("/request", {"body": {"messages": [{"content": HARMLESS}], "x": padding}})
    await gate.ask(
        "/v1/events", {"event_id": "1", "kind": "prompt", "text": padding}, 202, {"X-Weir-App": "a"}
    )
    assert threads == [False] * 8


async def test_a_large_body_for_which_no_thread_is_free_waits_no_longer_than_its_time(gate: Running) -> None:
    may = threading.Event()
    loop = asyncio.get_running_loop()
    others = [loop.run_in_executor(reading._READERS, may.wait) for _ in range(2)]
    try:
        body = {"text": HARMLESS, "x": "a" * reading.ON_LOOP}
        error = await gate.ask("/v1/check", body, 429, {"X-Weir-Deadline-Ms": "100"})
        assert error["error"]["type"] == "busy"
    finally:
        may.set()
        await asyncio.gather(*others)


async def test_a_body_that_never_comes_ends(gate: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READ_S", 0.2)
    answer = await raw(gate, post("/v1/check", BODY)[:-5])
    assert b" 408 " in answer.splitlines()[0]
    assert b"too_slow" in answer
    dripping = [raw(gate, post("/v1/events", BODY)[: -1 - n]) for n in range(20)]
    others = [gate.ask("/v1/check", {"text": f"{HARMLESS} {n}"}) for n in range(20)]
    answers = asyncio.gather(*dripping)
    await asyncio.gather(*others)
    assert all(b" 408 " in each.splitlines()[0] for each in await answers)


async def test_broken_and_endless_encodings(gate: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        bomb = gzip.compress(gzip.compress(bytes(200 << 20)))
        for encoding, body in (
            ("gzip", b"not gzip " + CANARY.encode()),
            ("gzip", gzip.compress(BODY)[:-9]),
            ("deflate", zlib.compress(BODY)[:-6]),
            ("deflate", CANARY.encode()),
            ("br", CANARY.encode()),
            ("unknown", CANARY.encode()),
            ("gzip, gzip", bomb),
            ("gzip", gzip.compress(bytes(100 << 20))),
        ):
            answer = await raw(
                gate, post("/v1/check", body, f"Content-Encoding: {encoding}", "Connection: close")
            )
            assert 400 <= int(answer.split(b" ")[1]) < 500, (encoding, answer)
            assert b"canary" not in answer, (encoding, answer)
            json.loads(answer.partition(b"\r\n\r\n")[2])
    assert not caplog.records


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /" + b"v" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nX canary text\r\n\r\n",
        b"canary text of a request\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["headers", "header", "path", "lengths", "smuggling", "chunk", "no-colon", "no-http", "tls"],
)
async def test_a_head_that_is_no_http_is_refused_and_not_repeated(
    gate: Running, caplog: pytest.LogCaptureFixture, head: bytes
) -> None:
    with caplog.at_level(logging.INFO):
        answer = await raw(gate, head)
        assert 400 <= int(answer.split(b" ")[1]) < 500, answer
        assert b"canary" not in answer
        assert (await gate.ask("/v1/check", {"text": HARMLESS}))["action"] == "allow"
    assert "canary" not in caplog.text


async def test_bodies_that_are_on_their_way_are_bounded_together(gate: Running) -> None:
    bodies, most = gate.gate._bodies, gate.settings.gate_max_bytes
    head = f"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: {most}\r\n\r\n".encode()
    bodies._room = most + 1_000
    _, slow = await asyncio.open_connection("127.0.0.1", gate.port)
    slow.write(head + bytes(most - 1))
    await asyncio.to_thread(wait_until, lambda: bodies._room <= 1_001, "most of the body has come")
    error = (await gate.ask("/v1/check", {"text": "x" * 2_000}, 429))["error"]
    assert error["type"] == "busy"
    slow.transport.abort()
    await asyncio.to_thread(wait_until, lambda: bodies._room > most, "the body is given up")
    assert (await gate.ask("/v1/check", {"text": "x" * 2_000}))["action"] == "allow"
    assert bodies._room == most + 1_000


async def test_who_leaves_in_the_middle_of_a_body_is_no_fault_of_ours(
    gate: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ("/v1/check", "/v1/events", "/v1/stream", "/v1/traces"):
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", gate.port)
            writer.write(post(path, BODY, "Content-Type: application/json")[:-5])
            await asyncio.sleep(0.05)
            writer.transport.abort()
    assert (await gate.ask("/v1/check", {"text": HARMLESS}))["action"] == "allow"
    assert "failed" not in capsys.readouterr().out


async def test_who_sends_no_head_is_not_waited_for(gate: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.2)
    assert await raw(gate, b"POST /v1/check HTTP/1.1\r\nHost: loc", within_s=5) == b""


async def test_nothing_is_kept_of_a_connection_that_is_closed(
    gate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 3600.0)
    for number in range(5):
        await raw(gate, post("/v1/check", BODY, "Connection: close"))
        async with gate.http.ws_connect("/v1/stream") as socket:
            await socket.send_json({"event_id": f"s{number}", "delta": HARMLESS, "done": True})
            assert [json.loads(each.data) async for each in socket]
    await gate.http.close()

    def are_gone() -> bool:
        gc.collect()
        kept = sum(isinstance(each, connections.Connection) for each in gc.get_objects())
        return kept <= 1  # of the last one the test itself may hold something

    await asyncio.to_thread(wait_until, are_gone, "what was kept of them is gone", 20)


async def test_a_connection_that_is_kept_is_not_kept_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "KEEP_S", 0.2)
    async with Running(tmp_path, Keys(None)) as gate:
        for more in (b"", b"POST /v1/check HTTP/1.1\r\nHost: loc"):
            answer = await raw(gate, post("/v1/check", BODY), more=more)
            assert answer.startswith(b"HTTP/1.1 200"), "and then it is closed"


async def test_what_is_refused_before_the_gate_sees_it_has_the_same_form(gate: Running) -> None:
    answer = await raw(gate, post("/v1/check", BODY, "Expect: canary", "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 417")
    assert b"canary" not in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == "http_error"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/check", {}),
        ("/v1/check", {"prompt": ATTACK}),
        ("/v1/check", {"text": ATTACK, "events": [{"text": HARMLESS}]}),
        ("/v1/moderations", {"input": []}),
        ("/v1/moderations", {"input": [{"type": "text"}]}),
        ("/request", {"body": {"message": ATTACK}}),
        ("/portkey", {"eventType": "afterRequestHook", "request": {"text": ATTACK}}),
    ],
)
async def test_what_holds_nothing_to_judge_is_not_let_pass(gate: Running, path: str, body: object) -> None:
    error = (await gate.ask(path, body, 400))["error"]
    assert error["type"] == "invalid_request_error"


async def test_pipelines_http_1_0_and_an_early_end(gate: Running) -> None:
    answer = await raw(gate, post("/v1/check", BODY) * 3, more=post("/v1/check", BODY, "Connection: close"))
    assert answer.count(b"HTTP/1.1 200") == 4
    old = await raw(gate, post("/v1/check", BODY, version="1.0"))
    assert old.split(b" ")[1] == b"200"
    for _ in range(20):  # gone before the answer
        _, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(post("/v1/check", BODY))
        writer.transport.abort()
    assert (await gate.ask("/v1/check", {"text": HARMLESS}))["action"] == "allow"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_who_asks_nothing_more_is_answered_all_that_was_asked(gate: Running, version: str) -> None:
    for path, asked, times in (("/v1/check", BODY, 1), ("/v1/check", BODY, 3), ("/v1/stream", STREAM, 1)):
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(post(path, asked, "Connection: keep-alive", version=version) * times)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 60)
        assert answer.count(b'"decision_id"') == times, "and then it is closed"
        writer.close()


async def test_who_ends_in_the_middle_of_a_second_request_is_answered_the_first(gate: Running) -> None:
    whole = post("/v1/check", BODY)
    for times in (1, 2):
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(whole * times + whole[:-5])
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 60)
        assert answer.count(b'"decision_id"') == times, "and then it is closed"
        writer.close()


async def test_who_ends_in_the_middle_of_a_request_is_not_waited_for(gate: Running) -> None:
    for sent in (b"", b"POST /v1", post("/v1/check", BODY)[:-5], post("/v1/stream", STREAM)[:-5]):
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(sent)
        writer.write_eof()
        assert b"200" not in await asyncio.wait_for(reader.read(), 20)
        writer.close()


async def test_a_client_of_grpc_is_told_of_in_the_log(
    gate: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        answer = await raw(gate, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert b" 400 " in answer.splitlines()[0]
    assert capsys.readouterr().out.count("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf") == 1


@pytest.mark.parametrize("encoding", ["br", "x-gzip", "gzip, gzip", "canary"])
async def test_an_encoding_that_nobody_unpacks_is_refused_and_named(gate: Running, encoding: str) -> None:
    for path, body in (("/v1/check", BODY), ("/v1/events", BODY), ("/v1/stream", STREAM)):
        packed = post(path, gzip.compress(body), f"Content-Encoding: {encoding}", "Connection: close")
        answer = await raw(gate, packed)
        assert int(answer.split(b" ")[1]) in (400, 415), answer
        assert b"send gzip or deflate" in answer


async def test_who_takes_nothing_of_an_answer_does_not_hold_it_for_ever(
    gate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "TAKE_S", 0.2)
    body = {"messages": [{"role": "user", "content": PERSON}], "user": "a" * 2_000_000}
    _, writer = await asyncio.open_connection("127.0.0.1", gate.port, limit=1)
    for _ in range(8):  # more than the buffers of the system take
        writer.write(post("/request", json.dumps({"body": body}).encode()))
    server = gate._http_runner.server
    assert server is not None
    await asyncio.to_thread(wait_until, lambda: server.connections, "it is connected")
    await asyncio.to_thread(wait_until, lambda: not server.connections, "it is given up", 120)
    writer.transport.abort()


class Taking:
    """A transport that has so much left to send whenever it is asked."""

    def __init__(self, *left: int) -> None:
        self.left = list(left)
        self.aborted = asyncio.Event()
        self.abort = self.aborted.set

    def get_write_buffer_size(self) -> int:
        return self.left.pop(0)


async def test_who_takes_an_answer_slowly_is_given_up_only_when_it_takes_no_more(
    gate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "TAKE_S", 0)
    assert gate._http_runner.server is not None
    taking = Taking(90, 80, 50, 20, 20, 0)
    connection: Any = gate._http_runner.server()
    connection.transport = taking
    connection.pause_writing()
    await asyncio.wait_for(taking.aborted.wait(), 60)
    assert taking.left == [0], "it was asked until it had taken nothing"


async def test_deep_bodies_come_back_or_are_refused(gate: Running) -> None:
    for depth in (100, 900, 970, 1000, 5000):
        message = {"messages": [{"role": "user", "content": PERSON}]}
        deep = b'{"x": ' * depth + b"1" + b"}" * depth
        body = b'{"body": ' + json.dumps(message).encode()[:-1] + b', "x": ' + deep + b"}}"
        async with gate.http.post("/request", data=body) as response:
            assert response.status in (200, 400), depth


async def test_ids_that_differ_in_case_are_two_and_one_id_has_one_decision(gate: Running) -> None:
    def ask(number: int, event_id: str) -> dict[str, str]:
        return {"event_id": event_id, "text": f"{HARMLESS} {number}"}

    events = [ask(0, "one"), ask(0, "ONE"), *(ask(number, "same") for number in range(200))]
    answers = (await gate.ask("/v1/check", {"app": "a", "events": events}))["results"]
    assert len({answer["decision_id"] for answer in answers}) == 3
    again = await asyncio.gather(*(gate.ask("/v1/check", {"app": "a", **ask(0, "same")}) for _ in range(20)))
    assert all(answer == answers[2] for answer in again)
    assert len(await gate.sent(topics.SCORES)) == 202


async def test_who_repeats_a_request_that_is_refused_is_told_so_too(
    gate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = asyncio.Event()

    async def busy(*_: object) -> None:
        began.set()
        await asyncio.sleep(0.1)
        raise BusyError(1.0)

    monkeypatch.setattr(gate.batcher, "judged", busy)
    body = {"app": "a", "event_id": "twice", "text": HARMLESS}
    asked = [asyncio.create_task(gate.ask("/v1/check", body, 429)) for _ in range(2)]
    await began.wait()
    for error in await asyncio.wait_for(asyncio.gather(*asked), 60):
        assert error["error"]["type"] == "busy"


async def test_who_repeats_a_request_keeps_a_deadline_of_its_own(
    gate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged, body = gate.batcher.judged, {"app": "a", "event_id": "late", "text": HARMLESS}
    began, may = asyncio.Event(), asyncio.Event()

    async def slow(*given: object) -> object:
        began.set()
        await may.wait()
        return await judged(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(gate.batcher, "judged", slow)
    first = asyncio.create_task(gate.ask("/v1/check", body))
    await began.wait()
    answer = await gate.ask("/v1/check", body | {"deadline_ms": 100})
    assert answer["failed"], "by the rules, as for whoever has no time"
    assert not first.done()
    may.set()
    assert not (await first).get("failed")
    assert len(await gate.sent(topics.SCORES)) == 1


async def test_long_answers_are_not_all_remembered(gate: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_CHARS", 5_000)
    for number in range(20):
        await gate.ask("/v1/check", {"app": "a", "text": f"{PERSON} {'and so on ' * 100} {number}"})
    kept = gate.service._answers
    assert 0 < kept._chars <= 5_000
    assert len(kept._answers) < 20


async def test_a_key_of_one_tenant_reads_nothing_of_another(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(
        f"{hash_of('a')} tenant=acme\n{hash_of('b')} tenant=bolt\n{hash_of('c')} app=c tenant=c\n"
    )
    async with Running(tmp_path, Keys.load(file)) as gate:

        async def ask(key: str, **more: object) -> dict[str, object]:
            body = {"app": "shop", "event_id": "1", "text": PERSON, **more}
            answer: dict[str, object] = await gate.ask("/v1/check", body, headers={"x-api-key": key})
            return answer

        first = await ask("a", conversation_id="c", scores=True)
        other = await ask("b", conversation_id="c", tenant="acme")
        await ask("c", tenant="acme")
        assert (first["event_id"], other["event_id"]) == ("acme:1", "bolt:1"), "none can replace another's"
        assert first["decision_id"] == codec.decision_id("shop", "acme:1") != other["decision_id"]
        scored = [codec.decode(ScoredEvent, value).event for value in await gate.sent(topics.SCORES)]
        assert [event.tenant for event in scored] == ["acme", "bolt", "c"], (
            "each is judged and kept as its own"
        )
        broken = b'{"app": "shop", "tenant": "acme", "event_id": "1", "kind": "prompt", "text": "\\ud800"}'
        lines = [broken, b'{"event_id": "2", "kind": "prompt", "text": "no app"}']
        for line in lines:
            await gate.ask("/v1/events", line, 202, {"x-api-key": "c"})
        events = [codec.decode(Event, value) for value in await gate.sent(topics.EVENTS)]
        assert [(event.app, event.tenant) for event in events] == [("c", "c"), ("c", "c")]


async def test_alerts_of_what_was_answered_outlive_a_kill(tmp_path: Path) -> None:
    async with Running(tmp_path, Keys(None)) as gate:
        gate.alerting.cancel()  # the process is killed before there is evidence
        await gate.ask("/v1/check", {"app": "a", "event_id": "1", "text": ATTACK})
        assert await gate.sent(topics.SCORES)
        assert not await gate.sent(topics.ALERTS)
    async with Running(tmp_path, Keys(None)) as gate:
        assert len(await gate.sent(topics.ALERTS)) == 2


async def test_work_of_others_in_threads_does_not_hold_up_the_judge(gate: Running) -> None:
    done = threading.Event()
    others = [asyncio.create_task(asyncio.to_thread(done.wait)) for _ in range(100)]
    try:
        answer = await asyncio.wait_for(gate.ask("/v1/check", {"text": HARMLESS}), 30)
    finally:
        done.set()
        await asyncio.gather(*others)
    assert answer["action"] == "allow"


@pytest.mark.parametrize("size", [1, 1_000])
async def test_what_takes_long_to_read_is_read_in_a_thread(
    gate: Running, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    threads = set()

    def noting(call: Any) -> Any:
        def noted(*given: Any) -> Any:
            threads.add(threading.current_thread() is threading.main_thread())
            return call(*given)

        return noted

    monkeypatch.setattr(gate.service, "parcel", noting(gate.service.parcel))
    line = json.dumps({"event_id": "1", "app": "a", "kind": "prompt", "text": HARMLESS}).encode()
    assert (await gate.ask("/v1/events", b"\n".join([line] * size), 202))["accepted"] == size
    monkeypatch.setattr(Holdbacks, "of", noting(Holdbacks.of))
    body = {"input_type": "response", "texts": [HARMLESS * size], "litellm_call_id": "c"}
    assert len((await gate.ask(LITELLM_PATH, body))["stream_holdback_chars"]) == 1
    assert threads == {size == 1}


async def test_when_it_is_hopeless_the_body_is_not_even_read(gate: Running) -> None:
    gate.batcher._bytes, gate.batcher._s_per_byte = 1_000_000, 1e-4
    for path in ("/v1/check", "/v1/moderations", LITELLM_PATH, "/request", "/response", "/portkey"):
        async with gate.http.post(path, data=b"{no JSON") as response:
            # To LiteLLM 503 says that weir is away; what it does then does not hold for 429.
            status = 503 if path == LITELLM_PATH else 429
            assert (response.status, response.headers["Retry-After"]) == (status, "100"), path
    gate.batcher._bytes = 0
    assert (await gate.ask("/v1/check", b"{no JSON", 400))["error"]


async def test_what_is_hopeless_is_refused_from_its_head_alone_and_the_connection_goes_on(
    gate: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled: list[object] = []
    monkeypatch.setattr(gate.gate._bodies, "read", handled.append)
    gate.batcher._bytes, gate.batcher._s_per_byte = 1_000_000, 1e-4
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)

    async def answer() -> tuple[bytes, dict[str, Any]]:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
        return head, json.loads(await reader.readexactly(length))

    whole, chunked = post("/v1/check", BODY), b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    chunks = post("/v1/check", b"", "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    for parts in ([whole], [whole[:-9], whole[-9:]], [chunks + chunked], [chunks, chunked], [whole * 3]):
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.01)
        for _ in range(3 if len(parts[0]) > 2 * len(whole) else 1):
            head, body = await answer()
            assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
            assert b"Retry-After: 100\r\n" in head
            assert body["error"]["type"] == "busy"
    assert not handled, "nothing of a body was read"
    gate.batcher._bytes = 0
    monkeypatch.undo()
    writer.write(whole)
    head, body = await answer()
    assert head.startswith(b"HTTP/1.1 200 OK"), body
    writer.close()
    count = gate.telemetry.registry.get_sample_value
    assert count("weir_gate_requests_total", {"endpoint": "/v1/check", "status": "429"}) == 7


def test_the_time_of_a_request_runs_from_when_it_came_and_not_from_when_it_was_read() -> None:
    request = make_mocked_request("POST", "/v1/check", {"X-Weir-Deadline-Ms": "1500"})
    assert heads.within_s(request, 2000) == 1.5
    request[heads.CAME] = time.monotonic() - 1
    assert heads.within_s(request, 2000) <= 0.5


def test_what_came_during_a_long_turn_has_waited_for_it() -> None:
    times = iter([0.0, 3.0, 3.0, 3.1, 9.1, 9.2, 9.7])
    selector = turns.Turns(lambda: next(times))
    ours, theirs = socket.socketpair()
    with selector, ours, theirs:
        selector.register(ours, selectors.EVENT_READ)
        theirs.send(b"x")
        found = [selector.select(0) and selector.age_s, selector.select(60) and selector.age_s]
        assert found == [3.0, pytest.approx(0.1 + turns.WAKING_S)], "who waits is woken at once"
        assert (selector.select(0) and selector.age_s) == pytest.approx(0.6), "the interpreter was waited for"
