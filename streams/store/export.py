"""Reviewed events as a file, made by the store: JSON lines or Parquet."""

import shutil
from pathlib import Path
from typing import Final, Literal

from clickhouse_connect.driver.binding import format_str, quote_identifier

from streams.store.chosen import Chosen
from streams.store.client import Store
from streams.store.errors import CLIENT_ERRORS, classify_query
from streams.store.reviews import REVIEWED

Format = Literal["jsonl", "parquet"]
_FORMATS: Final = {"jsonl": "JSONEachRow", "parquet": "Parquet"}
FIELDS: Final = (
    "app", "event_id", "kind", "timestamp", "conversation_id", "tenant", "environment", "model", "provider",
    "prompt_name", "prompt_version", "user", "text", "system_prompt", "contexts", "metadata", "storage",
    "pii_types", "action", "verdict", "severity", "rules", "rule_metrics", "failed", "degraded",
    "policy_version", "policy_hash", "detectors_hash",
)  # fmt: skip
_HIT: Final = "has(rules, about) OR (about != '' AND has(rule_metrics, about))"
_VOTE: Final = (
    f"multiIf(word = 'correct', if(if(about = '', action != 'allow', {_HIT}), 1, -1),"
    " word = 'false_positive', -1, word = 'false_negative', 1, 0)"
)
_SPLIT: Final = (
    "transform(intDiv(cityHash64(app, if(conversation_id = '', event_id, conversation_id)) % 100, 10),"
    " [8, 9], ['validation', 'test'], 'train')"
)
"""By conversation, so that none is in two: 80, 10 and 10 of 100."""


def statement(chosen: Chosen, metrics: list[str]) -> str:
    """Return the SQL of the reviewed events with their labels, as `policy.reviews.labels` gives them."""
    scores = ", ".join(f"ifNull({quote_identifier(name)}, nan)" for name in metrics)
    names = ", ".join(map(format_str, metrics))
    given = f"mapFilter((k, v) -> NOT isNaN(v), mapFromArrays([{names}], [{scores}]))" if metrics else "map()"
    decided = f"SELECT * FROM events WHERE {chosen.condition} AND {REVIEWED}"
    last = (
        "SELECT app, event_id, reviewer, metric AS about, argMax(judgement, (timestamp, feedback_id)) AS word"
        " FROM feedback GROUP BY app, event_id, reviewer, about"
    )
    votes = (
        f"SELECT app, event_id, about, sum({_VOTE}) AS balance, countIf(word != 'unsure') AS votes"
        f" FROM ({last}) AS last INNER JOIN"
        f" (SELECT app, event_id, action, rules, rule_metrics FROM ({decided})) AS d"
        " USING (app, event_id) GROUP BY app, event_id, about"
    )
    named = "about != '' AND balance != 0"
    labels = (
        "SELECT app, event_id, anyOrNullIf(balance > 0, about = '' AND balance != 0) AS label,"
        f" mapFromArrays(groupArrayIf(about, {named}), groupArrayIf(balance > 0, {named})) AS label_of,"
        " max(votes > 0 AND balance = 0) AS disputed, max(votes) AS reviewers"
        f" FROM ({votes}) GROUP BY app, event_id"
    )
    fields = ", ".join(f"d.{name} AS {name}" for name in FIELDS)
    return (
        f"SELECT {fields}, {given} AS scores, l.label AS label, l.label_of AS label_of,"
        f" l.disputed AS disputed, l.reviewers AS reviewers, {_SPLIT} AS split"
        f" FROM ({decided}) AS d INNER JOIN ({labels}) AS l USING (app, event_id)"
        " WHERE l.label IS NOT NULL OR notEmpty(l.label_of) OR l.disputed ORDER BY app, event_id"
    )


def score_columns(store: Store) -> list[str]:
    """Return the metrics that there are columns for."""
    rows = store.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events_log'"
        " AND type = 'Nullable(Float32)' ORDER BY name"
    ).rows
    return [name for (name,) in rows]


def export(store: Store, chosen: Chosen, file: Path, kind: Format) -> None:
    """Write the reviewed events to a file, in bounded memory. Raises `StoreError`, `OSError`."""
    sql = statement(chosen, score_columns(store))
    try:
        with store.client.raw_stream(sql, fmt=_FORMATS[kind]) as found, file.open("wb") as out:
            shutil.copyfileobj(found, out)
    except CLIENT_ERRORS as error:
        raise classify_query(error, store.url) from None
