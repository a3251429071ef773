"""Refusals, in completions."""

from detectors.linear_detector import LinearDetector


class RefusalDetector(LinearDetector):
    """The completion declines to do what was asked."""

    name = "refusal"
    version = "1"
    metrics = ("refusal",)
    only = "completion"
