"""What the demo asks of the store shows what happened."""

import uuid
from collections.abc import Iterator
from types import ModuleType

import pytest

from schemas.drift import DriftRecord
from streams.store.client import Store
from tests.example_scripts import EXAMPLES, load
from tests.pages import traffic


@pytest.fixture
def summary(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return load("demo_summary")


@pytest.fixture
def store(clickhouse: str) -> Iterator[Store]:
    made = Store(clickhouse, database=f"test_{uuid.uuid4().hex}")
    made.migrate(traffic.METRICS)
    yield made
    made.client.command(f"DROP DATABASE {made.database}")
    made.close()


def test_a_drift_there_and_its_return_are_no_mean_that_did_not_move(
    summary: ModuleType, store: Store
) -> None:
    levels = (("bias_refusal", "women", 0.05, 0.41), ("distance_shop", "", 0.3, 0.7))
    records = [
        DriftRecord(
            drift_id=f"{metric}-{way}", app="shop", kind="prompt", metric=metric, named_group=group,
            detector="glr", timestamp=1, event_id="e", before=before, after=after,
        )
        for metric, group, low, high in levels
        for way, before, after in (("there", low, high), ("back", high, low))
    ]  # fmt: skip
    store.insert(records, "drift")
    found = store.query(summary.QUERIES["Drift by metric"])
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert [(row["metric"], row["moved"], row["before"], row["after"]) for row in rows] == [
        ("bias_refusal women", "up", 0.05, 0.41), ("bias_refusal women", "down", 0.41, 0.05),
        ("distance_shop", "up", 0.3, 0.7), ("distance_shop", "down", 0.7, 0.3),
    ]  # fmt: skip
