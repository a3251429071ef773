"""Refusals, in completions."""

from detectors.head_detector import HeadDetector


class RefusalDetector(HeadDetector):
    """The completion declines to do what was asked."""

    name = "refusal"
    version = "5"
    metrics = ("refusal",)
    only = "completion"
