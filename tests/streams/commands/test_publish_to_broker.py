"""`weir publish` against the embedded broker."""

import json
from pathlib import Path

import pytest

from tests.streams.weir import run

pytestmark = pytest.mark.usefixtures("on_broker")


def seen(what: str, *options: str) -> list[dict[str, object]]:
    outcome = run("tail", what, "--no-follow", "--json", *options)
    assert outcome.code == 0, outcome.err
    return [json.loads(line) for line in outcome.out.split("\n") if line]


def test_published_rows_are_events(app: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,id\nhow deep?,1\nhow wide?,2\n")
    outcome = run(
        "publish",
        "a.csv",
        "--map",
        "text=question",
        "--map",
        "event_id=id",
        "--set",
        f"app={app}",
        "--set",
        "kind=prompt",
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("2 events published to llm.events.bulk in ")
    assert sorted((each["event_id"], each["text"]) for each in seen("events", "--app", app)) == [
        ("1", "how deep?"), ("2", "how wide?"),
    ]  # fmt: skip


def test_stdin_is_published(app: str) -> None:
    line = json.dumps({"app": app, "kind": "prompt", "text": "hello"})
    assert run("publish", "-", stdin=line).code == 0
    (event,) = seen("events", "--app", app)
    assert str(event["event_id"]).startswith("stdin-1-")


def test_a_bad_row_stops_and_says_how_many_were_sent(app: str, tmp_path: Path) -> None:
    good = json.dumps({"app": app, "kind": "prompt", "text": "hello", "event_id": "1"})
    (tmp_path / "a.jsonl").write_text(f"{good}\n{{}}\n{good}\n")
    outcome = run("publish", "a.jsonl")
    assert outcome.code == 2
    assert "a.jsonl:2: " in outcome.err
    assert "1 event published before it, none after; mend the row" in outcome.err
    assert len(seen("events", "--app", app)) == 1
    skipped = run("publish", "a.jsonl", "--skip-bad")
    assert skipped.out.startswith("2 events published")
    assert "1 bad row skipped" in skipped.out


def test_a_misspelt_field_is_told_and_the_event_is_sent(app: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"app": app, "kind": "prompt", "text": "a", "modle": "m"}) + "\n"
    )
    told = "warning: a.jsonl:1: `modle` is no field and was left out: is `model` meant? "
    for options in (("--dry-run",), ()):
        outcome = run("publish", "a.jsonl", *options)
        assert (outcome.code, outcome.err) == (0, f"{told}--map model=modle takes it\n")
    assert "model" not in seen("events", "--app", app)[0]
    assert (mapped := run("publish", "a.jsonl", "--map", "model=modle")).err == "", mapped.err
    assert run("publish", "a.jsonl", "--raw").err == ""


def test_a_dry_run_sends_nothing(app: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"q": "hello"}\n' * 3)
    outcome = run(
        "publish",
        "a.jsonl",
        "--map",
        "text=q",
        "--map",
        "user=who",
        "--set",
        f"app={app}",
        "--set",
        "kind=prompt",
        "--dry-run",
    )
    assert outcome.out.splitlines() == [
        "3 events would be published to llm.events.bulk; nothing was sent",
        "  prompts      3",
        f"  apps         {app}",
        "  ids made     3 (<file>-<line>-<hash of the content>)",
    ]
    assert outcome.err == "note: no row of a.jsonl has 'who'\n"
    assert seen("events", "--app", app) == []


def test_spans_are_published_and_every_one_is_accounted_for(app: str, tmp_path: Path) -> None:
    def span(number: int, **attributes: str) -> dict[str, object]:
        pairs = [
            {"key": name.replace("__", "."), "value": {"stringValue": each}}
            for name, each in attributes.items()
        ]
        return {"traceId": "a" * 32, "spanId": f"{number:016x}", "attributes": pairs}

    texts = {"input__value": "How deep?", "output__value": "Two metres."}
    spans = [
        span(1, openinference__span__kind="AGENT", **texts),
        span(2, openinference__span__kind="LLM", **texts),
        span(3, gen_ai__operation__name="execute_tool", gen_ai__tool__call__result="x"),
        span(4, gen_ai__operation__name="chat"),
    ]
    export = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": [each]}]} for each in spans]}
    (tmp_path / "spans.jsonl").write_text(json.dumps(export))
    outcome = run("publish", "spans.jsonl", "--otel", "--set", f"app={app}")
    assert outcome.out.startswith("2 events published to llm.events.bulk in ")
    assert [" ".join(line.split()) for line in outcome.out.splitlines()[1:]] == [
        "spans 4",
        "1 published",
        "1 agent, chain or workflow: not published, for the calls in it were",
        "1 generation without a text: is the capture of content off? "
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true switches it on",
        "1 tool",
    ]
    assert sorted(str(event["text"]) for event in seen("events", "--app", app)) == [
        "How deep?",
        "Two metres.",
    ]
    refused = run("publish", "spans.jsonl")
    assert (refused.code, "looks like OpenTelemetry: add --otel" in refused.err) == (2, True)
