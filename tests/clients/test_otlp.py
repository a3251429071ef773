"""Spans of the real SDKs, sent by their own exporters; what was taken waits in the gate's outbox."""

import os
import subprocess
import textwrap
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest

from schemas import codec, topics
from schemas.events import Event
from streams.gate import outbox
from streams.gate.keys import hash_of
from streams.local.process import HOST, free_port
from tests.clients.test_examples import HARMLESS, Model
from tests.harness import Role, Weir

KEY = "sk-of-a-test"
PROVIDER = """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
"""
CALL = """
    import os, sys, openai
    client = openai.OpenAI(base_url=os.environ["MODEL_URL"] + "/v1", api_key="none")
    with provider.get_tracer("app").start_as_current_span("request"):
        client.chat.completions.create(model="any", messages=[
            {"role": "system", "content": "Be kind"}, {"role": "user", "content": sys.argv[1]}])
    provider.shutdown()
"""
OPENINFERENCE = """
    from openinference.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=provider)
"""
OPENLLMETRY = """
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=provider)
"""
LANGFUSE = """
    import os, sys
    from langfuse import Langfuse
    client = Langfuse(public_key="pk-any", secret_key=os.environ["KEY"], base_url=os.environ["WEIR_URL"])
    asked = [{"role": "user", "content": sys.argv[1]}]
    start = client.start_as_current_observation
    with start(as_type="agent", name="agent", input=asked) as agent:
        with start(as_type="generation", name="call", model="any", input=asked) as call:
            call.update(output=sys.argv[1], usage_details={"input": 7, "output": 8})
        agent.update(output=sys.argv[1])
    client.flush()
"""
LOGS = """
    import sys
    from opentelemetry._logs import LogRecord
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    logs = LoggerProvider()
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    with provider.get_tracer("app").start_as_current_span("chat"):
        for name, body in (("gen_ai.user.message", {"content": sys.argv[1]}),
                           ("gen_ai.choice", {"index": 0, "message": {"content": sys.argv[1]}})):
            logs.get_logger("app").emit(LogRecord(event_name=name, body=body))
    logs.shutdown()
    provider.shutdown()
"""
STATUS = """
    import os, urllib.error, urllib.request
    from google.rpc.status_pb2 import Status
    headers = {"Content-Type": "application/x-protobuf", "Authorization": "Bearer wrong"}
    url = os.environ["WEIR_URL"] + "/v1/traces"
    try:
        urllib.request.urlopen(urllib.request.Request(url, b"", headers))
    except urllib.error.HTTPError as error:
        status = Status.FromString(error.read())
        print(error.code, status.code, status.message)
"""


class Keyed(NamedTuple):
    """A gate that wants a key, and where its outbox is."""

    url: str
    outbox: Path

    def published(self) -> list[Event]:
        parcels = []
        for path in sorted(self.outbox.glob("*.log")):
            start, size = 0, path.stat().st_size
            while start < size:
                found, start = outbox._read(path, start, size)
                parcels += found
        return [codec.decode(Event, each.value) for each in parcels if each.topic == topics.EVENTS]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder, port = tmp_path_factory.mktemp("keyed"), free_port()
    (folder / "keys").write_text(f"{hash_of(KEY)} tenant=acme\n")
    weir = Weir(f"{HOST}:{free_port()}", folder, WEIR_GATE_LISTEN=f"{HOST}:{port}")
    role: Role = weir.role(
        "gate",
        WEIR_GATE_OUTBOX=str(folder / "outbox"),
        WEIR_GATE_KEYS=str(folder / "keys"),
        WEIR_DRAIN_TIMEOUT_S="1",
    ).start()
    yield Keyed(f"http://{HOST}:{port}", folder / "outbox")
    role.stop()


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    server = ThreadingHTTPServer((HOST, 0), Model)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{HOST}:{server.server_port}"
    server.shutdown()
    server.server_close()


def installed(python: Path, *modules: str) -> None:
    done = subprocess.run([python, "-c", f"import {', '.join(modules)}"], capture_output=True, timeout=60)
    if done.returncode:
        pytest.skip(f"{', '.join(modules)}: not installed; `make test-clients` does it")


def run(python: Path, gate: Keyed, script: str, text: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a program that exports to the gate; its name as a service is `otlp-app`."""
    environment = {
        **os.environ,
        "WEIR_URL": gate.url,
        "KEY": KEY,
        "OTEL_SERVICE_NAME": "otlp-app",
        "OTEL_EXPORTER_OTLP_ENDPOINT": gate.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{KEY}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        **more,
    }
    command = (python, "-c", script, text)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Failed to export" not in done.stderr, done.stderr
    return done


def pair(gate: Keyed, text: str) -> tuple[Event, Event]:
    """Return the prompt and the completion of the one call with this text."""
    found = [event for event in gate.published() if event.text == text]
    prompts = [each for each in found if each.kind == "prompt"]
    completions = [each for each in found if each.kind == "completion"]
    assert (len(prompts), len(completions)) == (1, 1), "one call is two events"
    assert {(event.app, event.tenant) for event in found} == {("otlp-app", "acme")}
    assert prompts[0].request_id == completions[0].request_id
    return prompts[0], completions[0]


@pytest.mark.parametrize(
    ("module", "instrument"),
    [
        ("openinference.instrumentation.openai", OPENINFERENCE),
        ("opentelemetry.instrumentation.openai", OPENLLMETRY),
    ],
    ids=["openinference", "openllmetry"],
)
def test_an_instrumented_openai_app(
    client_python: Path, keyed: Keyed, model_url: str, module: str, instrument: str
) -> None:
    installed(client_python, "openai", module)
    text = f"{HARMLESS} {module} {time.time_ns()}"
    script = "".join(map(textwrap.dedent, (PROVIDER, instrument, CALL)))
    run(client_python, keyed, script, text, MODEL_URL=model_url)
    prompt, completion = pair(keyed, text)
    assert prompt.system_prompt == "Be kind"
    assert (prompt.model, completion.finish_reason) == ("any", "stop")
    assert (prompt.prompt_tokens, completion.completion_tokens) == (1, 1)
    assert completion.latency_ms


def test_langfuse_sends_to_its_own_path_with_the_key_as_password(client_python: Path, keyed: Keyed) -> None:
    installed(client_python, "langfuse")
    text = f"{HARMLESS} langfuse {time.time_ns()}"
    run(client_python, keyed, textwrap.dedent(LANGFUSE), text)
    prompt, completion = pair(keyed, text)
    assert (prompt.prompt_tokens, completion.completion_tokens, prompt.model) == (7, 8, "any")


def test_log_records_of_the_sdk(client_python: Path, keyed: Keyed) -> None:
    installed(client_python, "opentelemetry.exporter.otlp.proto.http")
    text = f"{HARMLESS} logs {time.time_ns()}"
    run(client_python, keyed, "".join(map(textwrap.dedent, (PROVIDER, LOGS))), text)
    prompt, completion = pair(keyed, text)
    assert prompt.span_id
    assert completion.prompt == text


def test_an_error_is_a_status_of_google_rpc(client_python: Path, keyed: Keyed) -> None:
    installed(client_python, "google.rpc.status_pb2")
    said = run(client_python, keyed, textwrap.dedent(STATUS), "").stdout
    assert said.startswith("401 16 this key is none of those in WEIR_GATE_KEYS")
