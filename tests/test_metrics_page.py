"""The page of metrics names every metric of the default detectors, and nothing that is not there."""

import re
from pathlib import Path

from detectors import registry
from streams.policy.file import parse
from tests.models import MODELS

PAGE = (Path(__file__).parent.parent / "docs" / "metrics.md").read_text("utf-8")


def test_every_metric_is_in_the_table_beside_its_detector() -> None:
    rows = re.findall(r"^\| (`.*?`) \| (\w+) \| (?:both|prompts|completions)", PAGE, re.MULTILINE)
    named = {
        (metric, detector) for metrics, detector in rows for metric in re.findall(r"`([a-z_]+)`", metrics)
    }
    assert named == {(metric, found.name) for found in registry.build(MODELS) for metric in found.metrics}


def test_the_rules_on_the_page_are_valid() -> None:
    owners = {metric: found.name for found in registry.build(MODELS) for metric in found.metrics}
    *_, rules = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert [rule.id for rule in parse(rules, owners).rules] == ["ungrounded-flag"]
