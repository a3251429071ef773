"""What a user does wrong is said in one clear line and an exit status, never in a traceback."""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas import topics
from streams.kafka.clients import consuming
from streams.kafka.topics import create_topics
from streams.local.process import HOST, free_port
from tests.brokers import ApacheKafka, KafkaBroker
from tests.harness import Weir, make_events, wait_until
from tests.streams.weir import forget_settings, run


@pytest.fixture(scope="module")
def plain(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Weir:
    """Addresses only: a broker with topics, no store, no roles."""
    weir = Weir(broker, tmp_path_factory.mktemp("plain"))
    asyncio.run(create_topics(weir.settings))
    return weir


def check(outcome: tuple[int, str], status: int, *words: str) -> None:
    code, output = outcome
    assert code == status, output
    assert "Traceback" not in output
    for word in words:
        assert word in output


def test_no_broker(plain: Weir) -> None:
    address = f"{HOST}:{free_port()}"
    port = str(free_port())
    options = {"WEIR_KAFKA": address, "WEIR_KAFKA_START_TIMEOUT_S": "1", "WEIR_GUARD_PORT": port}
    check(plain.run("guard", **options), 1, address, "no Kafka broker answers", "weir up")
    check(plain.run("topics", **options), 1, address)


def test_a_port_that_is_in_use(plain: Weir) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        check(plain.run("guard", WEIR_GUARD_PORT=port), 1, port, "WEIR_GUARD_PORT")


def test_a_broken_policy(plain: Weir, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "version: '1'\nname: mine\nrules:\n  - id: a\n    when: [nonsense >= 1]\n    action: block\n"
    )
    check(plain.run("guard", WEIR_POLICY=str(policy)), 2, str(policy), "nonsense")
    check(plain.run("guard", WEIR_POLICY=str(tmp_path / "none.yaml")), 2, "none.yaml")


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("WEIR_KAFKA", "nowhere", "host:port"),
        ("WEIR_CLICKHOUSE", "tcp://x", "http://127.0.0.1:8123"),
        ("WEIR_STORAGE", "some", "redacted"),
        ("WEIR_KAFKA_SECURITY", "SASL_SSL", "WEIR_KAFKA_PASSWORD"),
    ],
)
def test_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, word: str
) -> None:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv(name, value)
    outcome = run("guard")
    check((outcome.code, outcome.err), 2, word)


def test_a_detector_that_is_none(plain: Weir) -> None:
    check(plain.run("guard", WEIR_DETECTORS="toxicity,nonsense"), 2, "nonsense")


@pytest.mark.kafka
def test_a_group_that_refuses_the_worker_ends_it(weir: Weir, kafka: KafkaBroker) -> None:
    if not isinstance(kafka, ApacheKafka):
        pytest.skip("the embedded broker takes any session timeout")
    options = {"WEIR_KAFKA_SESSION_TIMEOUT_S": "1", "WEIR_GUARD_PORT": str(free_port())}
    check(weir.run("guard", **options, WEIR_GROUP_PREFIX="hasty"), 1, "InvalidSessionTimeoutError")


@pytest.mark.kafka
@pytest.mark.parametrize("name", ["guard", "notify"])
def test_another_program_in_the_group_of_a_role_is_named(weir: Weir, name: str) -> None:
    options = {"WEIR_GROUP_PREFIX": "shared", f"WEIR_{name.upper()}_PORT": str(free_port())}

    async def refused() -> tuple[int, str]:
        async with consuming(weir.settings, topics.ALERTS, group=f"shared-{name}"):
            return await asyncio.to_thread(weir.run, name, **options)

    check(asyncio.run(refused()), 1, "InconsistentGroupProtocolError", "another program", "WEIR_GROUP_PREFIX")


def test_too_many_dead_letters_stop_the_guard(plain: Weir) -> None:
    role = plain.role("guard", WEIR_DLQ_MAX_RUN="50", WEIR_GROUP_PREFIX="limited")
    plain.send(topics.EVENTS, [(b"same", b"{}")] * 60)
    role.start(ready=False)
    assert role.wait() == 4
    log = role.log.read_text()
    assert "Traceback" not in log
    assert "WEIR_DLQ_MAX_RUN" in log


def test_health_and_metrics_of_a_role(plain: Weir, tmp_path: Path) -> None:
    role = plain.role("guard", WEIR_GROUP_PREFIX="healthy").start()
    try:
        app = "health"
        plain.publish(make_events(app, 50))
        wait_until(lambda: len(plain.decisions(app)) == 50 and role.lag() == 0, "decisions")
        assert role.get("readyz")[0] == 200
        status, body = role.get("healthz")
        assert (status, json.loads(body)["status"]) == (200, "ok")
        assert role.metric("weir_messages_total") >= 50
        assert role.metric("weir_decisions_total") >= 50
        assert role.metric("weir_policy_info") == 1
    finally:
        assert role.stop() == 0


def test_a_new_policy_takes_effect_and_a_broken_one_does_not(plain: Weir, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    template = (
        "version: '{}'\nname: mine\nrules:\n"
        "  - id: long\n    when: [text_length >= 1]\n    action: {}\n    severity: low\n"
    )
    policy.write_text(template.format(1, "flag"))
    role = plain.role("guard", WEIR_POLICY=str(policy), WEIR_GROUP_PREFIX="reloading").start()
    try:
        looked_at: tuple[Callable[[], bool], ...] = (
            lambda: 'version="2"' in role.get("metrics")[1],
            lambda: role.metric("weir_policy_errors_total") == 1,
        )
        for number, text in enumerate((template.format(2, "block"), "rules: [")):
            (tmp_path / "new.yaml").write_text(text)
            (tmp_path / "new.yaml").replace(policy)
            wait_until(looked_at[number], "it is looked at")
            app = f"reload{number}"
            plain.publish(make_events(app, 3))
            wait_until(lambda app=app: len(plain.decisions(app)) == 3, app)  # type: ignore[misc]
            assert {(d.policy_version, d.action) for d in plain.decisions(app)} == {("2", "block")}
        assert role.metric("weir_policy_errors_total") == 1
        assert "last good one stays in force" in role.log.read_text()
    finally:
        assert role.stop() == 0


def test_a_stopped_store_makes_the_archive_unhealthy_not_dead(plain: Weir) -> None:
    role = plain.role(
        "archive", WEIR_HEALTH_STALL_S="1", WEIR_GROUP_PREFIX="stalled", WEIR_DRAIN_TIMEOUT_S="1"
    ).start()
    plain.send(topics.DEAD_LETTERS, [(b"x", b'{"dead_letter_id":"a","topic":"t","partition":0,"offset":1,'
               b'"timestamp":1,"reason":"empty","detail":"","size":0}')])  # fmt: skip
    wait_until(lambda: role.get("healthz")[0] == 503, "it says that it is stalled")
    assert role.running
    assert role.stop() == 0
