"""The view `usage`: what each user used, each event once."""

import re
from pathlib import Path
from typing import Any

import msgspec

from streams.store.client import Store
from tests.streams.store.rows import AT, scored

DAY_MS = 86_400_000


def test_a_row_per_app_tenant_user_and_day(store: Store) -> None:
    asked: dict[str, Any] = {"user": "u", "tenant": "t"}
    rows = [
        scored(0, prompt_tokens=10, cost=0.5, **asked),
        scored(1, kind="completion", prompt_tokens=10, completion_tokens=7, **asked),
        scored(2, timestamp=AT + DAY_MS, prompt_tokens=1, **asked),
        scored(3),
    ]
    actions = ("block", "flag", "allow", "block")
    rows = [
        msgspec.structs.replace(row, decision=msgspec.structs.replace(row.decision, action=action))
        for row, action in zip(rows, actions, strict=True)
    ]
    store.insert(rows, "first")
    store.insert(rows, "a replay")
    found = store.query(
        "SELECT app, tenant, user, events, tokens, cost, blocks, flags FROM usage ORDER BY user, day"
    ).rows
    assert found == [
        ("shop", "", "", 1, 0, 0.0, 1, 0),
        ("shop", "t", "u", 2, 17, 0.5, 1, 1),
        ("shop", "t", "u", 1, 1, 0.0, 0, 0),
    ]


def test_the_queries_of_the_page_are_answered(store: Store) -> None:
    page = (Path(__file__).parents[3] / "docs" / "usage.md").read_text("utf-8")
    (block,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    for statement in filter(None, map(str.strip, block.split(";"))):
        store.query(statement)
