"""A policy that judges rows of scores."""

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from schemas.events import Event
from streams.policy.file import parse
from streams.policy.rules import FloatMatrix, Outcome, Policy

METRICS = {"toxicity": "toxicity", "threat": "toxicity", "injection": "injection", "pii": "pii"}
NAMES = tuple(METRICS)


def policy(*rules: str) -> Policy:
    return parse(
        "version: '1'\nname: test\nrules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules), METRICS
    )


def event(**fields: Any) -> Event:
    return Event(**{"event_id": "e", "app": "shop", "kind": "prompt", "text": "hello"} | fields)


def row(**scores: float) -> FloatMatrix:
    return np.array([[scores.get(name, math.nan) for name in NAMES]], np.float32)


def judge(policy: Policy, matrix: FloatMatrix, *events: Event, failed: Collection[str] = ()) -> Outcome:
    return policy.compile(NAMES).evaluate(matrix, events or (event(),), failed)


def hit(
    policy: Policy, *, failed: Collection[str] = (), fields: dict[str, Any] | None = None, **scores: float
) -> bool:
    return bool(judge(policy, row(**scores), event(**(fields or {})), failed=failed).hits[0, 0])
