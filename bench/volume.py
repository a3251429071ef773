"""False alarms on the volume of quiet apps, simulated hour by hour: `python -m bench.volume`."""

import math
import sys
from typing import Final

import numpy as np

from streams.monitors.volume import Usual

WEEKS: Final = 12
APPS: Final = 4
SPREADS: Final = {"steady": 0.0, "unsteady": 0.5, "wild": 1.0}
"""Standard deviation of the logarithm of an hour's rate."""


def rate(hour: int, noon: float) -> float:
    """Return events expected in an hour: more by day, less at weekends."""
    day = 0.05 + max(0.0, math.sin((hour % 24 - 6) / 12 * math.pi))
    return noon * day * (0.3 if hour // 24 % 7 >= 5 else 1.0)


def false_alarms(noon: float, spread: float, rng: np.random.Generator) -> int:
    """Return how many hours of a quiet app are too much."""
    state, alarms = Usual(), 0
    for hour in range(WEEKS * 168):
        state.hour = hour
        state.sums = [float(rng.poisson(rate(hour, noon) * rng.lognormal(0.0, spread))), 0.0]
        alarms += state.sums[0] > state.limits()[0]
        state.learn()
    return alarms


def main() -> int:
    """Print a line per kind of app."""
    rng = np.random.default_rng(0)
    print(f"false alarms in {APPS * WEEKS} app-weeks")
    for name, spread in SPREADS.items():
        for noon in (50, 500, 5_000):
            found = sum(false_alarms(noon, spread, rng) for _ in range(APPS))
            print(f"{name:10} {noon:5,} events/h at noon: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
