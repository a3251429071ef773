"""The shipped models, loaded once for all tests of a process."""

from typing import Final

from detectors.models.weights import Models

MODELS: Final = Models()
