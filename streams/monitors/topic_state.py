"""What is remembered of the subjects of a segment: plain numbers, and arrays as bytes. Pure: no I/O."""

from typing import Annotated, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from schemas.sketches import COMPONENTS
from streams.monitors.clusters import Shares
from streams.monitors.reference import Count, Time
from streams.monitors.views import StateError

LEARN: Final = 256
"""Texts from which a reference is made: eight times as many as a sketch has components."""
SPEEDS: Final = (1 / 32, 1 / 256)
"""Weights of the newest text in the moving averages."""
LOWER: Final = np.tril_indices(COMPONENTS)
"""Of a whitening: all above is 0."""
_MOST: Final = 1e9

Floats = npt.NDArray[np.float64]
Bounded = Annotated[float, Meta(ge=-_MOST, le=_MOST)]


class TopicState(msgspec.Struct, array_like=True):
    """What is remembered, but for the arrays, which are packed as bytes."""

    space: Annotated[int, Meta(ge=-1, le=255)] = -1
    """That the sketches lie in."""
    first: Time | None = None
    """Milliseconds: when the first text came. It outlives what was learned."""
    learning: Annotated[bytes, Meta(max_length=LEARN * COMPONENTS)] = b""
    home: bytes = b""
    """Mean and whitening of where the subjects were at home, if they are not there."""
    left: str = ""
    """The drift with which they left."""
    sums: bytes = b""
    whitening: bytes = b""
    centroids: bytes = b""
    before: Shares = msgspec.field(default_factory=Shares)
    after: Shares = msgspec.field(default_factory=Shares)
    """Since the last text that joined the reference."""
    began: Time = 0
    hour: Time = 0
    """When the long block began."""
    blocks: Annotated[list[Bounded], Meta(min_length=4, max_length=4)] = msgspec.field(
        default_factory=lambda: [0.0] * 4
    )
    """Of the pending blocks: number of short ones; how alike their texts are, summed; number of long
    ones; how far they went beyond chance, squared, summed."""
    alike: Annotated[float, Meta(ge=1e-6, le=1e6)] = 1.0
    """Variance of short block means, times what it would be of independent texts."""
    alike_blocks: Count = 0
    wander: Bounded = 0.0
    """Squared length by which the level goes from hour to hour, beyond chance."""
    wander_blocks: Count = 0
    gain: Annotated[float, Meta(ge=-1e9, le=1e9)] = 0.0
    """Of the candidate."""
    candidate: Annotated[int, Meta(ge=-1, lt=len(SPEEDS))] = -1
    """Number of the average that was positive; -1: none."""
    doubted: Count = 0
    """Texts until some may join the reference, after a candidate that was none."""
    target: bytes = b""
    """What the average was then."""


def array(packed: bytes, kind: type[np.floating], shape: tuple[int, ...]) -> Floats:
    """Return an array of finite numbers; `StateError` if the bytes are none of that kind and shape."""
    try:
        found = np.frombuffer(packed, kind).reshape(shape).astype(np.float64)
    except ValueError:
        raise StateError("an array has another shape") from None
    if not (np.abs(found) < _MOST).all():
        raise StateError("a number is out of range")
    return found


def square(home: Floats, mean: Floats) -> float:
    """Return the squared distance from home, in spreads."""
    whitening = np.zeros((COMPONENTS, COMPONENTS))
    whitening[LOWER] = home[COMPONENTS:]
    distance = whitening @ (mean - home[:COMPONENTS])
    return float(distance @ distance)
