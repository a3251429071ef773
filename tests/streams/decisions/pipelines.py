"""Pipelines over a real judge."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from detectors.batch import Batch
from detectors.runner import Runner
from streams.decisions.alerts import Alerting
from streams.decisions.judge import Judge
from streams.decisions.pipeline import Output, Pipeline
from streams.decisions.text_storage import Keeper
from streams.kafka.records import Message, Record
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry
from tests.streams.records import NOW_MS

ADDRESS = "jane.roe@example-mail.org"


def judge_of(runner: Runner, now_ms: int = NOW_MS, **settings: Any) -> Judge:
    wanted = Settings(_env_file=None, **{"redaction_key": "k" * 16, **settings})
    keeper = Keeper(wanted.storage, wanted.redaction_key_bytes, runner.finders)
    return Judge(runner, keeper, lambda: now_ms)


def pipeline(runner: Runner, now_ms: int = NOW_MS, **settings: Any) -> Pipeline:
    decoder = Settings(_env_file=None).decoder
    return Pipeline(judge_of(runner, now_ms, **settings), decoder, Telemetry("guard"))


def processed(made: Pipeline, records: Sequence[Record], *more: Any, **others: Any) -> Output:
    return made.process(list(made.decode(records)), *more, **others)


def alerts_of(output: Output, runner: Runner, **settings: Any) -> list[Message]:
    return Alerting(judge_of(runner, **settings), Telemetry("guard")).alerts(output.raised)


class Broken:
    """A detector of personal data that fails."""

    name = "pii"
    version = "0"
    metrics = ("pii",)

    def find(self, text: str) -> Any:
        raise RuntimeError("no")

    def score(self, batch: Batch) -> Any:
        return np.zeros((len(batch), 1), np.float32)

    def explain(self, batch: object, row: int) -> list[Any]:
        return []


REDACT_ALL = (
    "version: '1'\nname: t\nrules:\n  - {id: r, when: [injection >= 0], action: redact, alert: true}\n"
)
