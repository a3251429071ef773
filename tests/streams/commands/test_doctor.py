import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from hypothesis import given
from hypothesis import strategies as st

from detectors.base import FloatMatrix
from detectors.batch import Batch
from detectors.runner import Runner
from schemas.events import Evidence
from streams import doctor as checks
from streams.doctor import Diagnosis, variables
from streams.kafka.topics import administering, create_topics
from streams.local.broker import Broker
from streams.local.process import free_port
from streams.settings import Settings, load
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry
from streams.telemetry.server import TelemetryServer
from tests.models import MODELS
from tests.streams.weir import forget_settings, run

PORTS = ("guard_port", "watch_port", "archive_port", "gate_port")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("WEIR_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("WEIR_CLICKHOUSE", "http://127.0.0.1:1")
    for name in PORTS:
        monkeypatch.setenv(f"WEIR_{name.upper()}", str(free_port()))


def doctor() -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(run("doctor", "--json").out):
        found.setdefault(finding["check"], []).append(finding)
    return found


def test_with_nothing_running_it_says_what_to_do_and_is_quick() -> None:
    started = time.monotonic()
    outcome = run("doctor")
    assert time.monotonic() - started < 60
    assert outcome.code == 1
    assert "FAIL  broker" in outcome.out
    assert "FAIL  store" in outcome.out
    assert outcome.out.count("`weir up`") == 2
    assert "OK    detectors" in outcome.out
    assert "OK    policy" in outcome.out
    for role in ("guard", "watch", "archive"):
        assert re.search(
            rf"^SKIP  {role} +not running here; its port \d+ is free$", outcome.out, re.MULTILINE
        )


@pytest.fixture
def own_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """One on which nobody else has made topics."""
    with Broker(free_port(), tmp_path) as running:
        monkeypatch.setenv("WEIR_KAFKA", running.address)
        yield running


def test_with_everything_there_nothing_fails(
    own_broker: Broker, clickhouse: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIR_CLICKHOUSE", clickhouse)
    monkeypatch.setenv("WEIR_CLICKHOUSE_DATABASE", "doctor")
    monkeypatch.setenv("WEIR_REDACTION_KEY", "geheim-geheim-geheim")
    before = doctor()
    assert "weir migrate" in str(before["store"])
    assert run("topics").code == run("migrate").code == 0
    outcome = run("doctor")
    assert outcome.code == 0, outcome.out
    assert "FAIL" not in outcome.out
    assert "WARN" not in outcome.out
    assert "llm.events 4" in outcome.out
    assert "the tables of doctor are up to date" in outcome.out
    assert "geheim" not in outcome.out


async def test_topics_that_refuse_or_lose_messages_are_named(own_broker: Broker) -> None:
    """Such as those that somebody made beforehand, with a broker's own limits."""
    settings = Settings(_env_file=None, kafka=own_broker.address)
    made = {"llm.scores": {}, "llm.alerts": {"cleanup.policy": "compact"}, "llm.state": {}}
    async with administering(settings) as admin:
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=each) for name, each in made.items()])
    await create_topics(settings)
    warned = [each.detail for each in await checks.broker(settings) if each.status == "warn"]
    assert sorted(warned) == [
        "llm.alerts: cleanup.policy=compact, not delete",
        "llm.scores: max.message.bytes=1048588, not 4194304",
        "llm.state: cleanup.policy=delete, not compact",
        "llm.state: max.message.bytes=1048588, not 8388608",
    ]


def test_what_was_dropped_is_named_and_made_again(clickhouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_CLICKHOUSE", clickhouse)
    monkeypatch.setenv("WEIR_CLICKHOUSE_DATABASE", "doctor_dropped")
    assert run("migrate").code == run("sql", "DROP TABLE events_log").code == 0
    (tables,) = doctor()["tables"]
    assert (tables["status"], tables["detail"]) == ("fail", "missing: events_log")
    assert "weir migrate" in tables["advice"]
    outcome = run("migrate")
    assert (outcome.code, outcome.out) == (0, "made again  events_log, which was missing\n")
    assert doctor()["tables"][0]["status"] == "ok"
    assert run("migrate").out == "up to date\n"
    run("sql", "DROP DATABASE doctor_dropped")


def test_the_doctor_sends_nobody_to_the_doctor() -> None:
    outcome = run("doctor")
    assert "weir doctor" not in outcome.out + outcome.err
    assert "`weir doctor` checks" in run("topics").err


def test_libraries_for_compressed_records_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiokafka.codec.has_zstd", lambda: False)
    monkeypatch.setattr("aiokafka.codec.has_lz4", lambda: False)
    finding = checks.codecs()
    assert finding.status == "fail"
    assert "compressed with lz4 or zstd cannot be read" in finding.detail
    assert "pip install" in finding.advice


EXPECTED = checks.Hashes("aaaa", "bbbb")


@pytest.mark.parametrize(
    ("running", "status", "detail"),
    [
        (("aaaa", "bbbb"), "ok", "with this policy and these detectors"),
        (("cccc", "bbbb"), "warn", "judges by policy cccc, the settings here give aaaa"),
        (("aaaa", "dddd"), "warn", "judges by detectors dddd, the settings here give bbbb"),
        (("cccc", "dddd"), "warn", "judges by policy cccc, the settings here give aaaa; detectors dddd"),
    ],
)
def test_a_running_guard_is_compared_with_the_settings(
    running: tuple[str, str], status: str, detail: str
) -> None:
    telemetry = Telemetry("guard")
    telemetry.ready = True
    telemetry.gauge(catalogue.POLICY_INFO, 1, '2026 "x"', *running)

    async def compared() -> Diagnosis:
        port = free_port()
        server = TelemetryServer(telemetry, "127.0.0.1", port, "WEIR_GUARD_PORT")
        await server.start()
        try:
            return await asyncio.to_thread(checks.telemetry, load(guard_port=port), "guard", EXPECTED)
        finally:
            await server.stop()

    finding = asyncio.run(compared())
    assert (finding.status, detail in finding.detail) == (status, True), finding


def test_a_guard_that_refused_its_policy_tells_why() -> None:
    body = json.loads(health("guard", "degraded")) | {
        "degraded": ["policy"], "problems": {"policy": "policy.yaml:7: injection >= 90 never holds"}
    }  # fmt: skip
    with listening(json.dumps(body).encode()) as port:
        finding = checks.telemetry(load(guard_port=port), "guard", EXPECTED)
    assert finding.status == "warn"
    assert finding.detail.splitlines() == [
        "runs: degraded (policy), 1,234 messages behind",
        "policy.yaml:7: injection >= 90 never holds",
    ]


def test_settings_that_are_wrong_are_named_and_nothing_else_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_PARTITIONS", "0")
    found = doctor()
    assert set(found) == {"settings"}
    assert "WEIR_PARTITIONS" in found["settings"][-1]["detail"]


def test_a_dotenv_file_is_read_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEIR_POLCY=x\n")
    assert "did you mean 'WEIR_POLICY'?" in str(doctor()["settings"])


def test_a_broken_policy_and_a_missing_detector_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "p.yaml").write_text("version: [")
    monkeypatch.setenv("WEIR_POLICY", str(tmp_path / "p.yaml"))
    assert "p.yaml:1" in doctor()["policy"][0]["detail"]
    monkeypatch.setenv("WEIR_DETECTORS", "toxicty")
    assert "did you mean 'toxicity'?" in doctor()["detectors"][0]["detail"]


def test_a_policy_without_its_detectors_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DETECTORS", "toxicity,text")
    assert doctor()["policy"][0]["status"] == "fail"


def test_metrics_to_watch_that_nothing_gives_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DETECTORS", "toxicity,text")
    assert "WEIR_WATCH_METRICS" not in str(doctor())
    monkeypatch.setenv("WEIR_WATCH_METRICS", "toxicty,text_tokens,cost")
    (finding,) = [each for each in doctor()["watch"] if "METRICS" in each["detail"]]
    assert finding["status"] == "fail"
    assert "'toxicty' (did you mean 'toxicity'?)" in finding["detail"]


class Broken:
    name = "broken"
    version = "1"
    metrics: tuple[str, ...] = ("broken",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def score(self, batch: Batch) -> FloatMatrix:
        raise self._error

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        return []


@pytest.mark.parametrize(
    ("error", "detail", "advice"),
    [
        (TimeoutError(), "broken fails (timeout)", "raise WEIR_DETECTOR_BUDGET_MS"),
        (ValueError("geheim"), "broken fails (ValueError)", "leave it out with WEIR_DETECTORS"),
    ],
)
def test_a_detector_that_fails_is_named(
    error: Exception, detail: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "make_runner", lambda settings: Runner([Broken(error)], MODELS, 5))
    finding = doctor()["detectors"][-1]
    assert (finding["status"], finding["detail"], finding["advice"]) == ("fail", detail, advice)


@given(st.text(alphabet="abcxyz019", min_size=4))
def test_secrets_are_never_shown(secret: str) -> None:
    environment: dict[str, str | None] = {
        "WEIR_KAFKA_PASSWORD": secret,
        "WEIR_REDACTION_KEY": secret,
        "WEIR_CLICKHOUSE": f"http://user:{secret}@host",
        "WEIR_KAFKA_PASWORD": secret,
    }
    shown = [finding.detail + finding.advice for finding in variables(environment)]
    assert len(shown) == 4
    assert not [each for each in shown if secret in each]


def test_every_secret_setting_counts_as_one() -> None:
    for name, field in Settings.model_fields.items():
        if "SecretStr" in str(field.annotation):
            (finding,) = variables({f"WEIR_{name.upper()}": "geheim"})
            assert finding.detail.endswith("=(set, hidden)")


def test_unknown_variables_warn_and_no_variable_is_fine() -> None:
    assert [finding.status for finding in variables({"WEIR_KAFAK": "a", "PATH": "b"})] == ["warn"]
    assert [finding.status for finding in variables({"PATH": "b"})] == ["ok"]


@contextmanager
def listening(body: bytes, status: int = 200) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def health(role: str, status: str, *, ready: bool = True) -> bytes:
    return json.dumps({"role": role, "status": status, "ready": ready, "lag_messages": 1234}).encode()


@pytest.mark.parametrize(
    ("body", "code", "status", "detail"),
    [
        (health("guard", "ok"), 200, "ok", "runs: ok, ready, 1,234 messages behind"),
        (health("guard", "ok", ready=False), 200, "warn", "runs, but is not ready"),
        (health("guard", "stalled"), 503, "fail", "runs: stalled"),
        (health("watch", "ok"), 200, "fail", "watch listens on"),
        (b"<html>", 200, "fail", "something else listens"),
        (b"[]", 404, "fail", "something else listens"),
    ],
)
def test_the_ports_of_the_roles(body: bytes, code: int, status: str, detail: str) -> None:
    with listening(body, code) as port:
        finding = checks.telemetry(load(guard_port=port), "guard")
    assert (finding.status, detail in finding.detail) == (status, True), finding


def test_a_role_that_hears_nothing_from_the_broker_is_not_called_well() -> None:
    with listening(health("guard", "ok")) as port:
        finding = checks.telemetry(load(guard_port=port), "guard", broker_answers=False)
    assert finding.status == "warn"
    assert finding.detail == "runs: 1,234 messages behind when it last heard from the broker"


def test_a_role_that_does_not_run_is_neither_well_nor_a_problem() -> None:
    finding = checks.telemetry(load(), "archive")
    assert finding.status == "skip"
