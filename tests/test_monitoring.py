"""Dashboards, alerts and the operations page speak of the metrics and exit codes that there are."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams import errors
from streams.roles import PROCESSES
from streams.settings import Settings
from streams.telemetry import catalogue
from streams.telemetry.metrics import Telemetry
from tests import grafana_types

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
ALERTS: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"][0]["rules"]
METRICS = {metric.name: metric for metric in catalogue.ALL}

WORD = re.compile(r"\bweir_[a-z0-9_]+")
SCRAPED = {"role", "instance", "job"}
"""Labels that Prometheus adds, and not the program."""


def _series() -> dict[str, set[str]]:
    """Return the name of every series that a role exposes, with its labels."""
    found: dict[str, set[str]] = {}
    for family in Telemetry("guard").registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = set(METRICS[name].labels) | SCRAPED
        if family.type == "histogram":
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[name] = labels
    return found


SERIES = _series()


def _targets(dashboard: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(panel["title"], target) for panel in dashboard["panels"] for target in panel["targets"]]


EXPRESSIONS = [target["expr"] for _, target in _targets(DASHBOARDS["operations"])]


def _labels_of(expression: str) -> set[str]:
    grouped = re.findall(r"\bby \(([^)]*)\)", expression)
    matched = re.findall(r"\{([^}]*)\}", expression)
    by = {label.strip() for group in grouped for label in group.split(",")}
    return by | {label for braces in matched for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", braces)}


@pytest.mark.parametrize("expression", [*EXPRESSIONS, *(alert["expr"] for alert in ALERTS)])
def test_an_expression_names_metrics_and_labels_that_exist(expression: str) -> None:
    names = WORD.findall(expression)
    assert names or re.search(r"\bup\b", expression)
    assert set(names) <= set(SERIES)
    known = SCRAPED.union(*(SERIES[name] for name in names))
    assert _labels_of(expression) <= known


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for expression in EXPRESSIONS for name in WORD.findall(expression)}
    missing = [
        name for name in METRICS if not shown & {name, f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    ]
    assert missing == []


def test_the_legend_uses_labels_that_remain() -> None:
    for _, target in _targets(DASHBOARDS["operations"]):
        used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        aggregated = " by (" in target["expr"] or "sum(" in target["expr"]
        kept = _labels_of(target["expr"]) if aggregated else SCRAPED
        assert used <= kept, target["expr"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_sound(name: str) -> None:
    dashboard = DASHBOARDS[name]
    provisioned = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "weir.yml").read_text())
    sources = {source["uid"]: source["type"] for source in provisioned["datasources"]}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert panel["description"], panel["title"]
        for source in (panel["datasource"], *(target["datasource"] for target in panel["targets"])):
            assert sources[source["uid"]] == source["type"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
    others = {other["uid"] for other in DASHBOARDS.values()}
    assert {link["url"].removeprefix("/d/") for link in dashboard["links"]} <= others


OPTIONS = {
    "stat": {"reduceOptions", "colorMode", "graphMode"},
    "timeseries": {"legend", "tooltip"},
    "table": {"showHeader"},
}
"""Of each panel what it says, as `tests.grafana_types` has found it to be in the types of Grafana."""


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_panel_says_what_grafana_knows(name: str) -> None:
    for panel in DASHBOARDS[name]["panels"]:
        assert panel["options"].keys() <= OPTIONS[panel["type"]], panel["title"]
        legend = panel["options"].get("legend", {"calcs": []})
        assert "calcs" in legend, panel["title"]


@pytest.mark.skipif("WEIR_TEST_GRAFANA" not in os.environ, reason="WEIR_TEST_GRAFANA names no folder")
def test_the_dashboards_keep_the_types_of_grafana() -> None:
    """In the folder: `npm install typescript@5 @grafana/schema`."""
    folder = Path(os.environ["WEIR_TEST_GRAFANA"])
    (folder / "dashboards.ts").write_text("\n".join(grafana_types.lines()))
    strict = ("--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler")
    compiler = (str(folder / "node_modules" / ".bin" / "tsc"), *strict, "dashboards.ts")
    result = subprocess.run(compiler, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_compose_starts_grafana_with_these_dashboards() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "weir.yml").read_text())[
        "providers"
    ]
    folder = provider["options"]["path"]
    grafana = services["grafana"]
    assert f"./deploy/grafana/dashboards:{folder}:ro" in grafana["volumes"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == folder
    assert home.stem in DASHBOARDS
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    for job in jobs:
        (target,) = job["dns_sd_configs"]
        (role,) = target["names"]
        assert role in services
        assert target["port"] == Settings.model_fields[f"{role}_port"].default
        assert job["relabel_configs"] == [{"target_label": "role", "replacement": role}]
    assert len(jobs) == len(PROCESSES)


# Prometheus's own judgement


def _promtool(*arguments: str) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    result = subprocess.run([tool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_promtool_accepts_configuration_and_rules() -> None:
    _promtool("check", "config", "prometheus.yml")


def test_the_alerts_fire_when_they_should() -> None:
    _promtool("test", "rules", "alerts_test.yml")


def test_every_alert_has_a_test_and_a_runbook() -> None:
    tests = (PROMETHEUS / "alerts_test.yml").read_text()
    headings = set(re.findall(r"^### (\w+)$", OPERATIONS, re.MULTILINE))
    names = {alert["alert"] for alert in ALERTS}
    assert names == headings
    for alert in ALERTS:
        assert re.search(rf"alertname: {alert['alert']}\n\s+exp_alerts:\n\s+- exp_labels", tests), alert[
            "alert"
        ]
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}"
        assert alert["labels"]["severity"] in ("warning", "critical")


def test_promtool_parses_the_dashboards(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{index}", "expr": expression.replace("$__rate_interval", "5m")}
        for index, expression in enumerate(EXPRESSIONS)
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    _promtool("check", "rules", str(path))


# docs/operations.md


def test_the_page_lists_every_metric_with_its_labels_and_no_other() -> None:
    for family in Telemetry("guard").registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert METRICS[name].kind == family.type
    assert set(WORD.findall(OPERATIONS)) <= set(METRICS) | set(SERIES)


def test_the_page_lists_the_exit_codes_and_the_ports() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d) \|", OPERATIONS, re.MULTILINE)}
    assert codes == {0, errors.FATAL, errors.USAGE, errors.DEAD_LETTERS}
    for role in ("guard", "watch", "archive"):
        assert f"| {role} | {Settings.model_fields[f'{role}_port'].default} |" in OPERATIONS


def test_the_log_lines_to_look_for_are_written_by_the_program() -> None:
    lines = re.findall(r"log line\s+`([^`]+)`", OPERATIONS)
    source = "\n".join(path.read_text() for path in (ROOT / "streams").rglob("*.py"))
    assert lines
    assert [line for line in lines if f'"{line}"' not in source] == []
