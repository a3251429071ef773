"""The short form of `python -m tests.chaos.faults`: one seed on each broker."""

import pytest

from tests.brokers import KafkaBroker
from tests.chaos import faults
from tests.harness import PATIENCE_S, Weir

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(6 * PATIENCE_S)]
SEED = 2
SECONDS = 6.0


def test_random_faults_lose_and_double_nothing(weir: Weir, kafka: KafkaBroker) -> None:
    print(faults.run(weir, kafka, SEED, SECONDS))
