"""The file of routes: what it may say, and what is said about mistakes in it."""

from pathlib import Path

import pytest

from schemas.alerts import AlertChange
from streams.alerts.routes import Route, RoutesError, load

T0 = 1_700_000_000_000
SILENT = "routes: []\nsilences:\n  - "
HOOK = "webhook: {url: 'http://127.0.0.1:1/x'}"


def change(**fields: object) -> AlertChange:
    moments = dict.fromkeys(("timestamp", "opened_at", "last_at"), T0)
    names = {"kind": "policy", "rule": "injection-block", "app": "shop-eu", "title": "injection 0.99"}
    state = {
        "change_id": "a:opened:1",
        "alert_id": "a",
        "change": "opened",
        "state": "open",
        "severity": "high",
    }
    return AlertChange(**(moments | names | state | fields))  # type: ignore[arg-type]


def written(folder: Path, text: str) -> Path:
    path = folder / "routes.yaml"
    path.write_text(text)
    return path


def route(folder: Path, more: str = "") -> Route:
    return load(written(folder, f"routes:\n  - name: one\n    {HOOK}\n{more}"))[0]


def test_the_example_in_the_documentation(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    names = ("ONCALL_SECRET", "ONCALL_TOKEN", "SLACK_WEBHOOK", "SMTP_PASSWORD")
    values = dict.fromkeys(names, "s3cret") | {"SLACK_WEBHOOK": "https://hooks.example.com/key"}
    routes = load(written(tmp_path, example), values)
    assert [each.name for each in routes] == ["oncall", "team-channel", "alertmanager", "mail"]
    assert "s3cret" not in repr(routes)
    assert "key" not in repr(routes[1].slack)
    wanted = {each.name: each.wants(change()) for each in routes}
    assert wanted == {"oncall": True, "team-channel": False, "alertmanager": True, "mail": False}


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        ("", True),
        ("{severity: high}", True),
        ("{severity: critical}", False),
        ("{app: [shop-*]}", True),
        ("{app: [shop]}", False),
        ("{kind: [drift, policy], rule: ['injection-?lock']}", True),
        ("{kind: [drift]}", False),
    ],
)
def test_which_alerts_match(tmp_path: Path, match: str, wanted: bool) -> None:
    assert route(tmp_path, f"    match: {match}" if match else "").wants(change()) is wanted


def test_of_a_silenced_alert_only_the_end_is_told(tmp_path: Path) -> None:
    one, until = route(tmp_path), 1_700_000_000_001
    assert not one.wants(change(change="still_open", state="silenced", silenced_until=until))
    assert one.wants(change(change="resolved", state="resolved", silenced_until=until))
    assert not one.wants(change(change="grew"))


@pytest.mark.parametrize(
    ("seconds", "fields", "told"),
    [
        (-1, {}, True),
        (0, {}, False),
        (3599, {}, False),
        (3600, {}, True),
        (60, {"app": "bank"}, True),
        (60, {"change": "resolved"}, False),
        (60, {"change": "resolved", "opened_at": T0 - 1}, True),
    ],
)
@pytest.mark.parametrize("where", ["of all routes", "of one route"])
def test_nobody_is_told_during_planned_work(
    tmp_path: Path, where: str, seconds: int, fields: dict[str, object], told: bool
) -> None:
    indent = "    " if where == "of one route" else ""
    silence = "{match: {app: [shop-*]}, since: 2023-11-14T22:13:20Z, until: 2023-11-14T23:13:20Z}"
    one = route(tmp_path, f"{indent}silences:\n{indent}  - {silence}\n")
    now = T0 + 1000 * seconds
    assert one.wants(change(**{"timestamp": now, "opened_at": now} | fields)) is told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("routes: [", "not YAML"),
        ("", "the file"),
        ("routes:\n  - {name: one}", "one of webhook, slack, alertmanager, email"),
        ("routes:\n  - {name: One, " + HOOK + "}", "route 1, name"),
        ("routes:\n  - {name: one, webhook: {url: 'ftp://x'}}", "http://"),
        ("routes:\n  - {name: one, webhook: {url: 'http://x', secert: y}}", "route 1, webhook, secert"),
        ("routes:\n  - {name: one, changes: [closed], " + HOOK + "}", "route 1, changes"),
        ("routes:\n  - {name: one, match: {severity: grave}, " + HOOK + "}", "route 1, match, severity"),
        (
            "routes:\n  - {name: one, " + HOOK + "}\n  - {name: one, " + HOOK + "}",
            "two routes are named 'one'",
        ),
        (SILENT + "{match: {}, since: 2026-01-02T00:00:00Z, until: 2026-01-01T00:00:00Z}", "ends after it"),
        (SILENT + "{match: {}, since: 2026-01-01T00:00:00, until: 2026-01-02T00:00:00Z}", "silence 1, since"),
        (SILENT + "{since: 2026-01-01T00:00:00Z, until: 2026-01-02T00:00:00Z}", "silence 1, match"),
        ("routes:\n  - {name: one, webhook: {url: '${NOT_SET}'}}", "NOT_SET, which is not set"),
        ('routes:\n  - {name: one, email: {host: h, sender: a@b.c, to: ["x\\ny@z"]}}', "no mail address"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RoutesError, match="WEIR_ROUTES") as caught:
        load(written(tmp_path, text), {})
    assert said in str(caught.value)


def test_a_mistake_shows_no_secret(tmp_path: Path) -> None:
    text = "routes:\n  - {name: one, slack: {url: 'https://h/T0/s3cret', webhook: 1}, timeout_s: s3cret}"
    with pytest.raises(RoutesError) as caught:
        load(written(tmp_path, text))
    assert "s3cret" not in str(caught.value)
