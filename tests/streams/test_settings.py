"""Settings: one line per mistake, and no secret in any text."""

from pathlib import Path

import pytest

from streams.errors import SettingsError
from streams.settings import Settings, load, misspelt, unread

SECRETS = ("kafka_password", "kafka_key_password", "clickhouse_password", "redaction_key")


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"KAFKA": "broker"}, "host:port"),
        ({"KAFKA": "a:1,b"}, "host:port"),
        ({"CLICKHOUSE": "127.0.0.1:8123"}, "URL of the HTTP interface"),
        ({"CLICKHOUSE": "http://u:hunter2@h:1"}, "WEIR_CLICKHOUSE_PASSWORD"),
        ({"KAFKA_SECURITY": "SASL_SSL"}, "WEIR_KAFKA_USERNAME"),
        ({"KAFKA_CA_FILE": "/no/such/file"}, "WEIR_KAFKA_CA_FILE: no such file"),
        ({"GATE_LISTEN": "9580"}, "WEIR_GATE_LISTEN: write host:port"),
        ({"GUARD_PORT": "0"}, "WEIR_GUARD_PORT"),
        ({"STORAGE": "all"}, "WEIR_STORAGE"),
        ({"BATCH_EVENTS": "many"}, "WEIR_BATCH_EVENTS"),
        ({"SECRETS_DIR": "/no/such/folder"}, "WEIR_SECRETS_DIR"),
    ],
)
def test_a_mistake_is_named(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], words: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"WEIR_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_two_mistakes_are_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_GUARD_PORT", "x")
    monkeypatch.setenv("WEIR_WATCH_PORT", "y")
    with pytest.raises(SettingsError) as caught:
        load()
    assert len(str(caught.value).splitlines()) == 2


def test_secrets_come_from_files_and_show_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in SECRETS:
        (tmp_path / f"weir_{name}").write_text(f"hush-{name}-0123456789")
    monkeypatch.setenv("WEIR_SECRETS_DIR", str(tmp_path))
    settings = load()
    for name in SECRETS:
        assert getattr(settings, name).get_secret_value() == f"hush-{name}-0123456789"
    assert "hush-" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_lists_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DETECTORS", "pii, toxicity,")
    assert load().detectors == ("pii", "toxicity")
    assert load(watch_metrics="a,b").watch_metrics == ("a", "b")


def test_without_a_redaction_key_there_is_a_random_one() -> None:
    one, other = Settings(), Settings()
    assert one.redaction_key_bytes == one.redaction_key_bytes != other.redaction_key_bytes


def test_plain_connections_have_no_tls() -> None:
    assert Settings().ssl_context is None
    assert Settings(kafka_security="SSL").ssl_context is not None


def test_a_variable_that_is_nearly_a_setting_is_told_from_those_of_others() -> None:
    names = ["WEIR_POLCY", "weir_kafak", "WEIR_POLICY", "WEIR_TEST_KAFKA", "WEIR_URL", "POLCY"]
    assert misspelt(names) == {"WEIR_POLCY": "WEIR_POLICY", "weir_kafak": "WEIR_KAFKA"}
    assert set(unread(names)) == {"WEIR_POLCY", "weir_kafak", "WEIR_TEST_KAFKA", "WEIR_URL"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEIR_KAFKA", "my host:9092"),
        ("WEIR_KAFKA", "kafka-1:9092 kafka-2:9092"),
        ("WEIR_KAFKA", "kafka-1:9092,my\thost:9092"),
        ("WEIR_CLICKHOUSE", "http://my host:8123"),
    ],
)
def test_a_blank_within_an_address_is_said(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}: .* has a blank in it"):
        load()


def test_a_blank_beside_an_address_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_KAFKA", "kafka-1:9092, kafka-2:9092")
    assert load().kafka == "kafka-1:9092, kafka-2:9092"


def test_a_password_in_an_address_with_a_blank_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_CLICKHOUSE", "http://ann:hunter2@my host:8123")
    with pytest.raises(SettingsError) as caught:
        load()
    assert "hunter2" not in str(caught.value)
