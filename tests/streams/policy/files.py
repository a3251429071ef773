"""Parts of policy files."""

import pytest

from streams.policy.file import PolicyError, parse

METRICS = {"toxicity": "toxicity", "injection": "injection", "pii": "pii"}
HEAD = "version: '1'\nname: test\nrules:\n"
RULE = "  - id: a\n    when: [toxicity >= 0.9]\n    action: block\n"


def problems(data: bytes | str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        parse(data, METRICS, source="p.yaml")
    return str(caught.value).splitlines()
