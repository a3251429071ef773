"""The files of a deployment agree with the program: settings, commands, ports, secrets. No image is built."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.alerts.routes import load as load_routes
from streams.cli import COMMANDS
from streams.roles import PROCESSES
from streams.settings import Settings, load

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
KUBERNETES: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "weir.yaml").read_text()))
DOCKERFILE = DEPLOY / "Dockerfile"

JOBS = ("init-topics", "init-tables")
OURS = (*PROCESSES, *JOBS)
LEAVE_GROUP_S = 15
"""How long a stopping worker may take to leave its consumer group, after the drain."""
VARIABLE = re.compile(r"\bWEIR_[A-Z0-9_]*[A-Z0-9]")


def _files() -> list[Path]:
    documents = [ROOT / "docs" / "deployment.md", ROOT / "docs" / "operations.md"]
    tracked = [path for path in DEPLOY.rglob("*") if path.is_file() and path.parent.name != "secrets"]
    return [ROOT / "docker-compose.yml", *documents, *tracked]


def _interpolated(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what Compose hands over where nothing is set: the defaults."""
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in environment.items()}


def _load(
    monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], secrets: Mapping[str, str], path: Path
) -> Settings:
    """Return the settings of a container with this environment and these secret files."""
    path.mkdir(exist_ok=True)
    for name, value in secrets.items():
        (path / name).write_text(value)
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(path) if name == "WEIR_SECRETS_DIR" else value)
    monkeypatch.chdir(path)
    return load()


def _seconds(duration: str) -> int:
    match = re.fullmatch(r"(\d+)s", duration)
    assert match, duration
    return int(match[1])


def test_every_variable_is_a_setting() -> None:
    known = {f"WEIR_{name.upper()}" for name in Settings.model_fields} | {"WEIR_SECRETS_DIR"}
    unknown = {(path.name, name) for path in _files() for name in VARIABLE.findall(path.read_text())}
    of_tests = "WEIR_TEST_"
    assert {each for each in unknown if each[1] not in known and not each[1].startswith(of_tests)} == set()


# Compose


def test_compose_has_everything_and_pins_it() -> None:
    assert set(SERVICES) == {"kafka", "clickhouse", *OURS, "prometheus", "grafana"}
    for name, service in SERVICES.items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), f"{name}: {service['image']}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_closed_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    assert service.get("network_mode") is None
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), port
    assert service["logging"]["options"]["max-size"]
    if name not in JOBS:
        assert service["restart"] == "unless-stopped"
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
        assert service["deploy"]["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_is_hardened_and_runs_a_command(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["command"][0] in COMMANDS
    assert "user" not in service, "the image's user is the ordinary one"
    drain = Settings.model_fields["drain_timeout_s"].default
    assert _seconds(service["stop_grace_period"]) > drain + LEAVE_GROUP_S


@pytest.mark.parametrize("name", PROCESSES)
def test_a_health_check_asks_the_roles_own_port(name: str) -> None:
    port = Settings.model_fields[f"{name}_port"].default
    *command, script = SERVICES[name]["healthcheck"]["test"]
    assert command == ["CMD", "python", "-c"]
    assert f"http://127.0.0.1:{port}/healthz" in script
    compile(script, name, "exec")
    assert SERVICES[name]["environment"]["WEIR_HTTP_HOST"] == "0.0.0.0"


@pytest.mark.parametrize("name", SERVICES)
def test_dependencies_can_be_fulfilled(name: str) -> None:
    for other, dependency in SERVICES[name].get("depends_on", {}).items():
        if dependency["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert dependency["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "no"


def test_a_decision_never_waits_for_the_store() -> None:
    for name in ("guard", "watch", "notify"):
        needed = set(SERVICES[name]["depends_on"])
        for other in needed.copy():
            needed |= set(SERVICES[other]["depends_on"])
        assert "clickhouse" not in needed
        assert "weir_clickhouse_password" not in SERVICES[name].get("secrets", [])


def test_volumes_and_secrets_are_declared_and_mounted_files_exist() -> None:
    for service in SERVICES.values():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"], (
                source
            )
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])


@pytest.fixture
def made_secrets(tmp_path: Path) -> Path:
    """The folder of the secrets, after `make-secrets.sh`."""
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    (tmp_path / "secrets").mkdir()
    subprocess.run(["sh", tmp_path / "make-secrets.sh"], check=True, capture_output=True)
    return tmp_path / "secrets"


def test_the_script_makes_every_secret_once(made_secrets: Path) -> None:
    first = {path.name: path.read_text() for path in made_secrets.iterdir()}
    assert set(first) == set(COMPOSE["secrets"])
    assert all(COMPOSE["secrets"][name]["file"] == f"./deploy/secrets/{name}" for name in first)
    assert len(set(first.values())) == len(first)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in first.values())
    assert made_secrets.stat().st_mode & 0o777 == 0o700
    subprocess.run(["sh", made_secrets.parent / "make-secrets.sh"], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in made_secrets.iterdir()} == first


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_a_container_are_accepted(
    name: str, made_secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = SERVICES[name]
    secrets = {secret: (made_secrets / secret).read_text() for secret in service.get("secrets", [])}
    settings = _load(monkeypatch, _interpolated(service["environment"]), secrets, tmp_path / "run")
    listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INTERNAL://{settings.kafka}," in listeners
    assert ("WEIR_SECRETS_DIR" in service["environment"]) == bool(secrets)
    if "weir_clickhouse_password" in secrets:
        assert settings.clickhouse_password.get_secret_value() == secrets["weir_clickhouse_password"]
        assert settings.clickhouse_user == SERVICES["clickhouse"]["environment"]["CLICKHOUSE_USER"]
    if "weir_redaction_key" in secrets:
        assert settings.redaction_key.get_secret_value() == secrets["weir_redaction_key"]


def test_the_routes_that_ship_are_accepted() -> None:
    assert load_routes(DEPLOY / "routes.yaml", {}) == []


# Image


def _instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def _final_stage() -> list[tuple[str, str]]:
    instructions = _instructions()
    last = max(index for index, (name, _) in enumerate(instructions) if name == "FROM")
    return instructions[last:]


def test_the_image_runs_as_an_ordinary_user_and_gets_its_signals() -> None:
    final = dict(_final_stage())
    user, _, group = final["USER"].partition(":")
    assert int(user) >= 1000
    assert int(group) >= 1000
    assert json.loads(final["ENTRYPOINT"]) == ["weir"]
    assert json.loads(final["CMD"])
    assert final.get("STOPSIGNAL", "SIGTERM") == "SIGTERM"
    assert "org.opencontainers.image.version" in final["LABEL"]
    ports = {str(Settings.model_fields[f"{role}_port"].default) for role in PROCESSES}
    listen = {
        Settings.model_fields[name].default.rpartition(":")[2] for name in ("gate_listen", "desk_listen")
    }
    assert set(final["EXPOSE"].split()) == ports | listen


def test_the_gate_may_write_where_its_outbox_is() -> None:
    """A named volume is owned as the folder of the image that it is mounted over."""
    folder = SERVICES["gate"]["environment"]["WEIR_GATE_OUTBOX"]
    assert SERVICES["gate"]["volumes"] == [f"gate-outbox:{folder}"]
    [made] = [value for name, value in _final_stage() if name == "RUN"]
    assert re.search(rf"install --directory --owner=weir --group=weir .*{folder}$", made)
    [gate] = _of_kind("StatefulSet")
    [container] = gate["spec"]["template"]["spec"]["containers"]
    outbox = next(each["value"] for each in container["env"] if each["name"] == "WEIR_GATE_OUTBOX")
    [volume] = gate["spec"]["volumeClaimTemplates"]
    mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert outbox.startswith(mounted[volume["metadata"]["name"]])


def test_the_image_is_pinned_and_holds_no_secrets_and_no_build_tools() -> None:
    base = next(value for name, value in _instructions() if name == "ARG").partition("=")[2]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)
    assert all(value.startswith("${PYTHON_IMAGE}") for name, value in _instructions() if name == "FROM")
    for name, value in _instructions():
        if name in ("ENV", "ARG"):
            assert not re.search("PASSWORD|SECRET|TOKEN|_KEY", value, re.IGNORECASE), value
        assert name not in ("ADD", "VOLUME"), value
    commands = " ".join(value for name, value in _final_stage() if name == "RUN")
    assert not re.search(r"\b(apt|apt-get|pip|gcc|curl|wget)\b", commands)


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    for name, value in _instructions():
        if name != "COPY" or value.startswith("--from"):
            continue
        *sources, _ = value.split()
        for source in sources:
            assert (ROOT / source).exists(), f"{source} is missing"
            ignored = False
            for pattern in patterns:
                if fnmatch.fnmatch(source, pattern.lstrip("!")):
                    ignored = not pattern.startswith("!")
            assert not ignored, f"{source} is in .dockerignore"


# Kubernetes


def _of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [item for item in KUBERNETES if item["kind"] in kinds]


@pytest.mark.parametrize(
    "item", _of_kind("Deployment", "StatefulSet", "Job"), ids=lambda item: item["metadata"]["name"]
)
def test_a_pod_is_hardened_and_runs_a_command(item: dict[str, Any]) -> None:
    pod = item["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user = next(value for name, value in _instructions() if name == "USER")
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == user
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert container["image"] == re.sub(r"\$\{TAG:-(.*)\}", r"\1", SERVICES["guard"]["image"])
    assert container["args"][0] in COMMANDS
    own = {each["metadata"]["name"] for each in item["spec"].get("volumeClaimTemplates", ())}
    assert {mount["name"] for mount in container["volumeMounts"]} == own | {
        volume["name"] for volume in pod["volumes"]
    }


@pytest.mark.parametrize(
    "item", _of_kind("Deployment", "StatefulSet"), ids=lambda item: item["metadata"]["name"]
)
def test_a_deployment_is_probed_at_its_port_and_may_drain(item: dict[str, Any]) -> None:
    pod = item["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    port = Settings.model_fields[f"{container['args'][0]}_port"].default
    assert container["ports"][0] == {"name": "http", "containerPort": port}
    assert item["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert item["spec"]["selector"]["matchLabels"] == item["spec"]["template"]["metadata"]["labels"]
    assert (
        pod["terminationGracePeriodSeconds"]
        > Settings.model_fields["drain_timeout_s"].default + LEAVE_GROUP_S
    )


def test_the_archive_is_not_restarted_because_the_store_is_away() -> None:
    paths = {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]["containers"][0]["livenessProbe"][
            "httpGet"
        ]["path"]
        for item in _of_kind("Deployment", "StatefulSet")
    }
    assert paths.pop("weir-archive") == paths.pop("weir-notify") == "/metrics"
    assert set(paths) == {f"weir-{name}" for name in PROCESSES if name not in ("archive", "notify")}
    assert set(paths.values()) == {"/healthz"}


def test_the_settings_of_a_pod_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config,) = _of_kind("ConfigMap")
    secrets = {"weir_kafka_password": "a", "weir_clickhouse_password": "b", "weir_redaction_key": "c" * 32}
    comment = (DEPLOY / "kubernetes" / "weir.yaml").read_text()
    assert all(f"--from-literal={name}=" in comment for name in secrets)
    settings = _load(monkeypatch, config["data"], secrets, tmp_path / "run")
    assert settings.kafka_password.get_secret_value() == "a"
    assert settings.replication == len(settings.kafka.split(","))
    replicas = {item["metadata"]["name"]: item["spec"]["replicas"] for item in _of_kind("Deployment")}
    assert max(replicas.values()) <= settings.partitions
