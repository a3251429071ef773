"""The models that detectors share, their weights and their cards."""

from pathlib import Path
from typing import Final

SHIPPED: Final = Path(__file__).parent
"""The folder of the weights that ship."""
