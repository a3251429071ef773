"""The state of river's ADWIN as plain numbers.

river packs a detector into bytes of its own and unpacks whatever it is given: bytes that are cut, or that do
not fit together, end the process (a panic in Rust). Here they are taken apart into numbers, and put together
again from checked ones only: what lies in a topic may be wrong, but it does no harm.
"""

import math
import struct
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from river._river_rust.drift import AdaptiveWindowing

from detectors.errors import DetectorError

CLOCK: Final = 32
BUCKETS: Final = 5
MIN_LENGTH: Final = 5
GRACE: Final = 10
LIMIT: Final = 1e9
"""A larger value is no measurement (a latency of eleven days): it is left out, for one of 1e200 makes the
variance infinite, and then nothing is found any more."""

_ROWS: Final = 40
"""Row i holds sums of 2**i values: 40 rows are more samples than a topic will ever hold."""
_BOUND: Final = LIMIT * LIMIT * 2.0**_ROWS
"""No sum, and no sum of squares, of values within `LIMIT` is larger."""
_HEAD: Final = struct.Struct("<diQdd4d4iQ")
_ROW: Final = struct.Struct("<QQQ6dQ6d")
_TAIL: Final = struct.Struct("<diQii")


class WindowError(Exception):
    """Numbers that no ADWIN has."""


class Window(msgspec.Struct, frozen=True, array_like=True):
    """What an ADWIN remembers: exponential histogram of sums, the newest values first."""

    total: float
    variance: float
    """Sum of squared deviations from the mean, as river has it."""
    tick: Annotated[int, Meta(ge=0, lt=CLOCK)]
    """Samples since it last looked for a change."""
    counts: Annotated[list[Annotated[int, Meta(ge=1, le=BUCKETS)]], Meta(min_length=1, max_length=_ROWS)]
    """Buckets in use of each row; one of row i stands for 2**i values."""
    totals: list[float]
    """Sum of each bucket, row by row, the oldest of a row first."""
    variances: list[float]
    """Squared deviations within each bucket, from row 1 on: a single value has none."""


class Adwin:
    """river's ADWIN with the same results (Bifet and Gavaldà 2007).

    Around the compiled part alone: `river.drift` loads pandas, scipy and scikit-learn, 130 MB that nothing
    here needs.
    """

    __slots__ = ("_delta", "drift_detected", "window")

    def __init__(self, delta: float) -> None:
        self._delta = delta
        self.window = _new_window(delta)
        self.drift_detected = False
        """Whether the last value revealed a drift."""

    @property
    def width(self) -> float:
        """Values in the window."""
        return float(self.window.get_width())

    @property
    def total(self) -> float:
        """Their sum."""
        return float(self.window.get_total())

    @property
    def estimation(self) -> float:
        """Their mean."""
        return self.total / self.width if self.width else 0.0

    def update(self, value: float) -> None:
        """Add a value; the first one after a drift begins a new window."""
        if self.drift_detected:
            self.window = _new_window(self._delta)
        self.drift_detected = bool(self.window.update(value))


def _new_window(delta: float) -> Any:
    return AdaptiveWindowing(
        delta=delta, clock=CLOCK, max_buckets=BUCKETS, min_window_length=MIN_LENGTH, grace_period=GRACE
    )


def export(detector: Adwin) -> Window | None:
    """Return the numbers of a detector.

    None for one that has just found a drift: river starts it from nothing with the next value.
    """
    if detector.drift_detected:
        return None
    packed = detector.window.__getstate__()
    *_, total, variance, _, _, _, _, tick, _, rows = _HEAD.unpack_from(packed)
    counts: list[int] = []
    totals: list[float] = []
    variances: list[float] = []
    for row in range(rows):
        numbers = _ROW.unpack_from(packed, _HEAD.size + row * _ROW.size)
        used = numbers[1]
        counts.append(used)
        totals += numbers[3 : 3 + used]
        if row:
            variances += numbers[10 : 10 + used]
    return Window(total, variance, tick % CLOCK, counts, totals, variances)


def rebuild(window: Window, delta: float) -> Adwin:
    """Return a detector that goes on where the exported one was; raise `WindowError` if none can.

    Its counters of buckets and detections start anew: river only reports them.
    """
    _check(window)
    width = sum(count << row for row, count in enumerate(window.counts))
    settings = (CLOCK, BUCKETS, float(MIN_LENGTH), float(GRACE))
    seen = (window.total, window.variance, float(width), 0.0, 0, 0, window.tick, 0)
    packed = bytearray(_HEAD.pack(delta, *settings, *seen, len(window.counts)))
    start = inner = 0
    for row, used in enumerate(window.counts):
        unused = [0.0] * (BUCKETS + 1 - used)
        totals = window.totals[start : start + used] + unused
        variances = window.variances[inner : inner + used] + unused if row else [0.0] * (BUCKETS + 1)
        packed += _ROW.pack(BUCKETS, used, BUCKETS + 1, *totals, BUCKETS + 1, *variances)
        start, inner = start + used, inner + used * bool(row)
    packed += _TAIL.pack(delta, CLOCK, BUCKETS, MIN_LENGTH, GRACE)
    detector = Adwin(delta)
    detector.window.__setstate__(bytes(packed))
    return detector


def _check(window: Window) -> None:
    buckets = sum(window.counts)
    if len(window.totals) != buckets or len(window.variances) != buckets - window.counts[0]:
        raise WindowError("the buckets of a window do not fit their counts")
    numbers = (window.total, window.variance, *window.totals, *window.variances)
    # One that is infinite or NaN makes the sum so.
    if not math.isfinite(sum(numbers)) or max(map(abs, numbers)) > _BOUND:
        raise WindowError("a number of a window is out of range")


def check_layout() -> None:
    """Make sure that river packs a detector as it is read here; raise `DetectorError` where it does not."""
    detector = Adwin(0.002)
    for sample in range(200):
        detector.update(sample % 7 / 10)
    packed = detector.window.__getstate__()
    window = export(detector) if len(packed) == _HEAD.size + _TAIL.size + 6 * _ROW.size else None
    if (
        window is None
        or abs(window.total - detector.total) > 0
        or sum(count << row for row, count in enumerate(window.counts)) != detector.width
        or export(rebuild(window, 0.002)) != window
    ):
        raise DetectorError(
            "the state of river's ADWIN has another layout than this version of weir knows: "
            "install the version of river that requirements.txt names"
        )
