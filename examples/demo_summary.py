"""What the store knows after the demo, asked in SQL through clickhouse-connect."""

import textwrap
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from demo_lines import columns, fitted
from demo_live import Unexpected

from streams.store.token import find_token

PATIENCE_S = 30.0

QUERIES = {
    "Decisions by app": """
        SELECT app, count() AS events, countIf(action = 'allow') AS allowed,
            countIf(action = 'flag') AS flagged, countIf(action = 'redact') AS redacted,
            countIf(action = 'block') AS blocked
        FROM events GROUP BY app ORDER BY app""",
    "What was planted, and what became of it": """
        SELECT if(metadata['planted'] = '', '(nothing)', metadata['planted']) AS planted, count() AS events,
            countIf(action = 'allow') AS allowed, countIf(action = 'flag') AS flagged,
            countIf(action = 'redact') AS redacted, countIf(action = 'block') AS blocked
        FROM events GROUP BY planted ORDER BY events DESC""",
    "Rules that hit most": """
        SELECT rule, any(rule_action) AS action, any(rule_mode) AS mode, count() AS events
        FROM events ARRAY JOIN rules AS rule, rule_modes AS rule_mode, rule_actions AS rule_action
        GROUP BY rule ORDER BY events DESC LIMIT 8""",
    "From publish to decision, milliseconds": """
        SELECT round(quantile(0.5)(decision_latency_ms), 1) AS p50,
            round(quantile(0.99)(decision_latency_ms), 1) AS p99, max(decision_latency_ms) AS slowest
        FROM events""",
    "Drift by metric": """
        SELECT concat(metric, if(named_group = '', '', ' '), named_group) AS metric, kind, model,
            if(drift.after > drift.before, 'up', 'down') AS moved, count() AS found,
            round(avg(drift.before), 2) AS before, round(avg(drift.after), 2) AS after
        FROM drift GROUP BY metric, kind, model, moved ORDER BY metric, kind, model, moved DESC LIMIT 16""",
    "Answers about one group and about others": """
        SELECT app, named_group, round(argMax(level, timestamp), 2) AS refused_now,
            round(max(level), 2) AS refused_at_worst, round(max(others), 2) AS others_at_worst,
            max(found) AS found_worse_off
        FROM bias WHERE measure = 'refusal' GROUP BY app, named_group ORDER BY found_worse_off DESC, app""",
    "Alerts, one for each cause": """
        SELECT rule, app, subject, state, reason, alerts,
            if(state = 'resolved', toInt64(resolved_at - opened_at), NULL) AS seconds
        FROM alert_states ORDER BY opened_at LIMIT 20""",
    "Cost by model": """
        SELECT model, count() AS answers, round(sum(cost), 4) AS dollars,
            round(1000 * avg(cost), 3) AS dollars_per_1000, round(quantile(0.5)(latency_ms)) AS p50_latency_ms
        FROM events WHERE kind = 'completion' GROUP BY model ORDER BY dollars DESC""",
    "Prompt version 7 against 8": """
        SELECT prompt_version, count() AS answers, round(avg(completion_tokens), 1) AS tokens,
            round(1000 * avg(cost), 3) AS dollars_per_1000,
            round(100 * avg(refusal >= 0.5), 1) AS refused_percent,
            round(100 * avg(toxicity >= 0.7), 1) AS toxic_percent
        FROM events WHERE kind = 'completion' GROUP BY prompt_version ORDER BY prompt_version""",
    "Personal data is kept redacted": """
        SELECT pii_types, text FROM events WHERE has(rules, 'pii-redact')
        ORDER BY length(pii_types) DESC, length(text), text LIMIT 1""",
}
NOTES = {
    "What was planted, and what became of it": """
        This is what the default models honestly find in texts from templates. Lower thresholds in the policy
        find more, and flag more that is harmless. An injection in a document is "redacted" where the document
        also names an e-mail address: pii-redact outranks a mere injection-flag.""",
    "Drift by metric": """
        Levels before the change, and since it began as watch estimates it: there, and back. Only what was
        planted should be here: answers leave the shop's topics together with the prompts, and refusals rise
        where one group is refused. Before a gap between groups is the level of the others.""",
}


def summarise(url: str, published: int) -> None:
    """Wait until all rows are there and print the answers; raise `Unexpected` if rows are missing."""
    parts = urlsplit(url)
    client = clickhouse_connect.get_client(
        host=parts.hostname or "", port=parts.port or 0, database="weir", password=find_token(url)
    )
    try:
        _check(client, published)
        for title, query in QUERIES.items():
            result = client.query(query)
            print(f"\n{title}")
            if title in NOTES:
                print(textwrap.fill(" ".join(NOTES[title].split()), columns(), break_on_hyphens=False))
            _table(result.column_names, result.result_rows)
    finally:
        client.close()


def _check(client: Client, published: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    rows, decisions = _counts(client)
    while (rows < published or _open(client)) and time.monotonic() < deadline:
        time.sleep(0.3)
        rows, decisions = _counts(client)
    if rows != published or decisions != published:
        raise Unexpected(
            f"{published:,} events were published, the store has {rows:,} rows, {decisions:,} decisions"
        )
    print(f"{rows:,} rows in the store, one per event. What they say, in SQL:")


def _open(client: Client) -> int:
    """Return how many alerts are open, as far as the store knows yet."""
    [(count,)] = client.query("SELECT countIf(state != 'resolved') FROM alert_states").result_rows
    return int(count)


def _counts(client: Client) -> tuple[int, int]:
    [(rows, decisions)] = client.query("SELECT count(), uniqExact(decision_id) FROM events").result_rows
    return int(rows), int(decisions)


def _table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    cells = [list(names)] + [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    for number, row in enumerate(cells):
        values = rows[0] if rows else names
        aligned = [
            text.rjust(width) if isinstance(value, int | float) else text.ljust(width)
            for text, width, value in zip(row, widths, values, strict=True)
        ]
        print(fitted("  " + "  ".join(aligned).rstrip(), columns()))
        if number == 0:
            print(fitted("  " + "  ".join("-" * width for width in widths), columns()))


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, float) and abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
