"""The queries of the analytics dashboard and of the operations page run on the tables that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from streams.store.client import Store
from streams.store.token import find_token

ROOT = Path(__file__).parent.parent
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DRIFT = re.findall(
    r"(SELECT [^;]*);",
    "".join(re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "drift.md").read_text(), re.DOTALL)),
)
BLOCKS = re.findall(r"```sql\n(.*?)```", OPERATIONS, re.DOTALL)
DASHBOARD: dict[str, Any] = json.loads(
    (ROOT / "deploy" / "grafana" / "dashboards" / "analytics.json").read_text()
)
QUERIES = {
    f"{panel['title']} {target['refId']}".removesuffix(" A"): target["rawSql"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}

EVENTS = """
INSERT INTO events_log (
    timestamp, app, model, event_id, kind, prompt_name, prompt_version, cost, latency_ms, completion_tokens,
    action, verdict, rules, rule_modes, rule_failed,
    toxicity, injection, harmful_request, ungrounded, bias_identity_attack, pii, secrets, refusal,
    distance_assistant
)
SELECT
    now(), 'shop', 'm1', toString(number), if(number = 0, 'prompt', 'completion'), 'greet', 'v1', 0.5, 20, 7,
    if(number = 0, 'allow', 'block'), 'block', ['r'], ['enforce'], [false],
    0.9, 0.1, 0.1, 0.2, 0.1, 1, 0, 0.8, 0.3
FROM numbers(2)
"""


@pytest.fixture(scope="module")
def store(clickhouse: str) -> Iterator[Client]:
    """The migrated tables with one blocked completion, one prompt and one of everything else."""
    database = "dashboards"
    columns = set(re.findall(r"\w+", (ROOT / "streams" / "policy" / "default.yaml").read_text()))
    metrics = [
        "toxicity",
        "injection",
        "harmful_request",
        "ungrounded",
        "bias_identity_attack",
        "pii",
        "secrets",
        "refusal",
        "distance_assistant",
    ]
    assert set(metrics) <= columns, "the default policy judges by the same metrics"
    store = Store(clickhouse, database=database)
    store.migrate(metrics)
    store.close()
    client = clickhouse_connect.get_client(dsn=f"{clickhouse}/{database}", password=find_token(clickhouse))
    shared = "now() AS timestamp, 'shop' AS app, 'm1' AS model"
    client.command(EVENTS)
    client.command(
        f"INSERT INTO drift_log (timestamp, app, model, drift_id, metric) SELECT {shared}, 'd', 'toxicity'"
    )
    client.command(
        f"INSERT INTO alerts_log (timestamp, app, model, alert_id, rule) SELECT {shared}, 'a', 'r'"
    )
    client.command(
        "INSERT INTO alert_changes_log (alert_id, change_id, opened_at, app, state) "
        "SELECT 'a', 'a:opened:1', now(), 'shop', 'open'"
    )
    client.command(
        "INSERT INTO bias_log (timestamp, app, bias_id, measure, named_group, gap_low) "
        "SELECT now(), 'shop', 'b', 'refusal', 'women', 0.2"
    )
    client.command(
        "ALTER TABLE events_log UPDATE named_groups = ['women'] WHERE 1", settings={"mutations_sync": 1}
    )
    client.command(
        "INSERT INTO feedback_log (feedback_id, event_id, app, timestamp) SELECT 'f', '0', 'shop', now()"
    )
    client.command(
        "INSERT INTO dead_letters_log (dead_letter_id, reason, timestamp) SELECT 'x', 'too_large', now()"
    )
    yield client
    client.close()


def _expanded(query: str) -> str:
    """Do what Grafana and its ClickHouse plugin do with the macros of a query."""
    query = re.sub(
        r"\$__timeFilter\((\w+)\)", r"\1 >= toDateTime(now() - 3600) AND \1 <= toDateTime(now() + 60)", query
    )
    query = re.sub(
        r"\$__timeInterval\((\w+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)", query
    )
    query = re.sub(r"\$__conditionalAll\((.*?), \$app\)", r"\1", query)
    return query.replace("${app:singlequote}", "'shop','bank'")


def test_every_query_has_a_name_of_its_own() -> None:
    assert len(QUERIES) == sum(len(panel["targets"]) for panel in DASHBOARD["panels"])


@pytest.mark.parametrize("title", QUERIES)
def test_a_query_of_the_dashboard_returns_what_is_there(title: str, store: Client) -> None:
    query = _expanded(QUERIES[title])
    assert "$" not in query
    result = store.query(query)
    assert result.result_rows, "nothing found"
    if "ORDER BY time\n" in f"{query}\n":
        assert result.column_names[0] == "time"
    if "${app" in QUERIES[title] and "GROUP BY" in query:
        assert not store.query(query.replace("'shop','bank'", "'elsewhere'")).result_rows


@pytest.mark.parametrize("query", DRIFT)
def test_a_query_about_drift_returns_what_is_there(query: str, store: Client) -> None:
    assert store.query(query).result_rows


def test_a_query_counts_a_replayed_event_once(store: Client) -> None:
    before = store.query(_expanded(QUERIES["Events"])).result_rows
    store.command("INSERT INTO events_log SELECT * FROM events_log WHERE event_id = '0' LIMIT 1")
    assert store.query(_expanded(QUERIES["Events"])).result_rows == before == [(2,)]


def test_the_variable_of_the_dashboard_lists_the_apps(store: Client) -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert store.query(variable["query"]).result_rows == [("shop",)]


def test_messages_that_were_refused_can_be_counted(store: Client) -> None:
    (block,) = [block for block in BLOCKS if "repeats" in block]
    store.command(
        "INSERT INTO dead_letters_log (dead_letter_id, reason, app, repeats)"
        " VALUES ('flood', 'empty', 'x', [7, 8])"
    )
    assert ("empty", "x", 3) in store.query(block).result_rows
    store.command(
        "ALTER TABLE dead_letters_log DELETE WHERE dead_letter_id = 'flood'", settings={"mutations_sync": 1}
    )


def test_a_person_can_be_forgotten(store: Client) -> None:
    (block,) = [block for block in BLOCKS if "DELETE" in block]
    store.command(
        "INSERT INTO events_log (timestamp, event_id, app, user) SELECT now(), 'gone', 'shop', 'u-123'"
    )
    store.command("INSERT INTO alerts_log (timestamp, alert_id, event_id) SELECT now(), 'gone', 'gone'")
    store.command("INSERT INTO feedback_log (timestamp, feedback_id, event_id) SELECT now(), 'gone', 'gone'")
    for statement in block.split(";\n"):
        if statement:
            store.command(statement, settings={"mutations_sync": 1})
    for view, kept in (("events", 2), ("alerts", 1), ("feedback", 1)):
        assert store.query(f"SELECT count(), countIf(event_id = 'gone') FROM {view}").result_rows == [
            (kept, 0)
        ]
