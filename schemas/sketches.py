"""The sketch of a text, as it travels on `llm.scores`: which space it lies in, and a point of that. Pure."""

from typing import Final

import numpy as np
import numpy.typing as npt

COMPONENTS: Final = 32
SCALE: Final = 254.0
"""Steps of the 8-bit components in one unit; half a unit is as far as they reach."""
LENGTH: Final = 1 + COMPONENTS
"""Bytes: the space, and a signed byte for each component."""


def pack(space: int, components: npt.NDArray[np.floating]) -> list[bytes]:
    """Return the sketches of N texts, of their components of shape (N, `COMPONENTS`)."""
    points = np.clip(np.rint(components * SCALE), -127, 127).astype(np.int8)
    head = bytes((space,))
    return [head + point.tobytes() for point in points]


def unpack(sketches: bytes) -> npt.NDArray[np.float64]:
    """Return the components of N sketches, one after the other without their spaces: (N, `COMPONENTS`)."""
    return np.frombuffer(sketches, np.int8).reshape(-1, COMPONENTS) / SCALE
