"""Scored events as columns, for a policy that is tried on them: in blocks, so that memory is bounded."""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from clickhouse_connect.driver.binding import format_str, quote_identifier

from schemas.events import VERDICTS
from schemas.fields import LANGUAGE, METADATA
from streams.policy.backtest import Block
from streams.policy.columns import Bools, Numbers, Recorded, Rows, Texts, texts
from streams.policy.conditions import Comparison
from streams.store.chosen import Chosen
from streams.store.client import Store
from streams.store.tables import EVENTS

_NAMELESS: Final = "\0"
"""Stands for every text that no condition names: they all compare alike."""
_REDACTED: Final = r"\[[A-Z_]{2,32}_[0-9a-f]{6}\]|\[(?:WITHHELD|TRUNCATED) \d+ characters\]"
_COUNTED: Final = {"prompt_tokens": "prompt", "completion_tokens": "completion"}
"""Where the app gives none, the number of tokens of an event of this kind is weir's own."""
_NAN: Final = "CAST(nan AS Float32)"


@dataclass(frozen=True)
class Detectors:
    """What scored the events."""

    owners: Mapping[str, str]
    """Metric to detector."""
    read_closely: Collection[str]
    """Metrics that rest on less where the transformer was left out."""
    counted: Mapping[str, str]
    """Kinds of findings, each with the metric that counts all of them: where only that is there, none was
    found."""


@dataclass(frozen=True)
class Scorer:
    """Detectors that scored some of the events."""

    hash: str
    events: int
    metrics: frozenset[str]
    """Those that any of the events has."""


def scorers(store: Store, since_ms: int, app: str, metrics: Collection[str]) -> list[Scorer]:
    """Return who scored the events, the latest first; a metric without a column has no scores."""
    there, where = metric_columns(store, metrics), Chosen(since_ms, app).condition
    given = "".join(f", max(isNotNull({quote_identifier(name)}))" for name in there)
    # Which scores there are does not need each event once: without FINAL that takes a fifth of the time.
    having = {
        hash_: frozenset(name for name, has in zip(there, flags, strict=True) if has)
        for hash_, *flags in store.query(
            f"SELECT detectors_hash{given} FROM {EVENTS.log} WHERE {where} GROUP BY detectors_hash"
        ).rows
    }
    rows = store.query(
        "SELECT detectors_hash, count() FROM events"
        f" WHERE {where} GROUP BY detectors_hash ORDER BY max(decided_at) DESC, detectors_hash"
    ).rows
    return [Scorer(hash_, events, having.get(hash_, frozenset())) for hash_, events in rows]


def metric_columns(store: Store, metrics: Collection[str]) -> list[str]:
    """Return the metrics that have a column, sorted."""
    rows = store.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events'"
    ).rows
    return sorted({name for (name,) in rows}.intersection(metrics))


class Reader:
    """Reads what a policy asks of events, and nothing else of them: no text leaves the store.

    Args:
        store: holds the events.
        asked: the comparisons of the policies that are tried.
        detectors: as they run here.
        baseline: hash of a policy, for `Block.by_baseline`.
        lacking: metrics that detectors, named by their hash, did not give.
        recorded: rules of `baseline` of which its decisions say whether they hit.

    """

    def __init__(
        self,
        store: Store,
        asked: Iterable[Comparison],
        detectors: Detectors,
        baseline: str = "",
        lacking: Mapping[str, Collection[str]] | None = None,
        recorded: Iterable[str] = (),
    ) -> None:
        self._store = store
        asked = list(asked)
        self._metrics = sorted({each.name for each in asked if each.subject == "metric"})
        self._numbers = sorted({each.name for each in asked if each.subject == "number"})
        # What was used by then is not kept with the events.
        self._usage = sorted({each.name for each in asked if each.subject == "usage"})
        self._words: dict[str, tuple[str, ...]] = {}
        for each in asked:
            if each.subject == "text":
                value = each.value if isinstance(each.value, tuple) else (str(each.value),)
                self._words[each.name] = tuple(dict.fromkeys([*self._words.get(each.name, ("",)), *value]))
        apps = [app for each in asked for app, _ in each.by_app]
        if apps:
            self._words["app"] = tuple(dict.fromkeys([*self._words.get("app", ("",)), *apps]))
        self._detectors = detectors
        self._owners = sorted({detectors.owners[name] for name in self._metrics if name in detectors.owners})
        if LANGUAGE in self._words:
            self._owners = sorted({*self._owners, LANGUAGE})
        self._lacking = {hash_: frozenset(names) for hash_, names in (lacking or {}).items()}
        self._baseline = baseline
        self._recorded = list(recorded)
        self._columns = self._selected(
            set(metric_columns(store, (*self._metrics, *detectors.counted.values(), "text_tokens")))
        )

    def blocks(self, chosen: Chosen, extra: str = "") -> Iterator[Block]:
        """Yield the events; `extra` is a further condition in SQL. Raises `StoreError`."""
        names = list(self._columns)
        wanted = ", ".join(f"{sql} AS c{number}" for number, sql in enumerate(self._columns.values()))
        where = " AND ".join(filter(None, (chosen.condition, extra)))
        with contextlib.closing(self._store.columns(f"SELECT {wanted} FROM events WHERE {where}")) as blocks:
            for columns in blocks:
                yield self._block(dict(zip(names, columns, strict=True)))

    def _selected(self, there: Collection[str]) -> dict[str, str]:
        columns = {
            "app": "app",
            "event_id": "event_id",
            "time": "toUnixTimestamp64Milli(timestamp)",
            "decided": f"indexOf({_array(VERDICTS)}, action)",
            "by_baseline": f"policy_hash = {format_str(self._baseline)}",
            "degraded": "has(degraded, 'transformer')"
            " + 2 * notEmpty(arrayFilter(x -> x != 'transformer', degraded))",
        }
        for number, name in enumerate(self._owners):
            columns[f"failed {number}"] = f"has(failed, {format_str(name)})"
        for name in self._metrics:
            columns[f"metric {name}"] = self._score_sql(name, there)
        for name in self._numbers:
            columns[f"field {name}"] = f"ifNull(toFloat64({name}), nan)"
            if name in _COUNTED and "text_tokens" in there:
                kind = format_str(_COUNTED[name])
                columns[f"unsaid {name}"] = f"kind = {kind} AND ifNull({name} = text_tokens, 0)"
        for name, words in self._words.items():
            sql = field_sql(name)
            columns[f"field {name}"] = f"indexOf({_array(words)}, {sql})"
            if name.startswith(METADATA):
                columns[f"unknown {name}"] = (
                    f"storage != 'full' AND match({sql}, {format_str(_REDACTED)})"
                    f" OR has(degraded, 'long_text')"
                )
        for rule in map(format_str, self._recorded):
            columns[f"hit {rule}"] = f"has(rules, {rule})"
            columns[f"failed hit {rule}"] = f"has(arrayFilter((r, f) -> f, rules, rule_failed), {rule})"
        if self._lacking:
            columns["scorer"] = f"indexOf({_array(self._lacking)}, detectors_hash)"
        return columns

    def _score_sql(self, name: str, there: Collection[str]) -> str:
        base = self._detectors.counted.get(name)
        if base and base in there:
            count = f"ifNull({quote_identifier(name)}, 0)" if name in there else "0"
            return f"if(isNull({quote_identifier(base)}), {_NAN}, CAST({count} AS Float32))"
        return f"ifNull({quote_identifier(name)}, {_NAN})" if name in there else _NAN

    def _block(self, columns: Mapping[str, Sequence[Any]]) -> Block:
        count = len(columns["time"])
        degraded = np.asarray(columns["degraded"], np.uint8)
        fields: dict[str, Texts | Numbers] = {
            name: np.asarray(columns[f"field {name}"], np.float64) for name in self._numbers
        }
        for name, words in self._words.items():
            fields[name] = Texts(np.asarray(columns[f"field {name}"], np.intp), (_NAMELESS, *words))
        fields |= {name: np.full(count, np.nan) for name in self._usage}
        scores = {name: np.asarray(columns[f"metric {name}"], np.float32) for name in self._metrics}
        rows = Rows(
            count=count,
            scores=scores,
            fields=fields,
            failed=_where_any(
                {name: columns[f"failed {number}"] for number, name in enumerate(self._owners)}
            ),
            unsure=self._unsure(scores, degraded) if degraded.any() else {},
            unknown=_where_any(_prefixed(columns, "unknown "))
            | self._never_scored(columns)
            | dict.fromkeys(self._usage, np.ones(count, bool)),
            unsaid=_where_any(_prefixed(columns, "unsaid ")),
            recorded={rule: self._of_rule(rule, columns) for rule in self._recorded},
        )
        return Block(
            rows=rows,
            apps=texts(columns["app"]),
            event_ids=columns["event_id"],
            times=np.asarray(columns["time"], np.int64),
            decided=np.asarray(columns["decided"], np.int8) - np.int8(1),
            by_baseline=np.asarray(columns["by_baseline"], bool),
            degraded=degraded > 0,
        )

    def _of_rule(self, rule: str, columns: Mapping[str, Sequence[Any]]) -> Recorded:
        name = format_str(rule)
        given = (columns["by_baseline"], columns[f"hit {name}"], columns[f"failed hit {name}"])
        return Recorded(*(np.asarray(column, bool) for column in given))

    def _unsure(self, scores: Mapping[str, Numbers], degraded: Any) -> dict[str, Bools]:
        without_transformer, without_rest = (degraded & 1) > 0, (degraded & 2) > 0
        return {
            name: (without_rest | (without_transformer & (name in self._detectors.read_closely)))
            & ~np.isnan(score)
            for name, score in scores.items()
        }

    def _never_scored(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Bools]:
        if not self._lacking:
            return {}
        scorer = np.asarray(columns["scorer"])
        lacking = [frozenset[str](), *self._lacking.values()]
        masks = {
            name: np.isin(scorer, [n for n, names in enumerate(lacking) if name in names])
            for name in self._metrics
        }
        return _where_any(masks)


def _where_any(columns: Mapping[str, Any]) -> dict[str, Bools]:
    masks = {name: np.asarray(column, bool) for name, column in columns.items()}
    return {name: mask for name, mask in masks.items() if mask.any()}


def _prefixed(columns: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): each for name, each in columns.items() if name.startswith(prefix)}


def field_sql(name: str) -> str:
    """Return SQL for a text field of an event."""
    if name.startswith(METADATA):
        return f"metadata[{format_str(name.removeprefix(METADATA))}]"
    return quote_identifier(name)


def _array(words: Iterable[str]) -> str:
    return f"[{', '.join(map(format_str, words))}]"
