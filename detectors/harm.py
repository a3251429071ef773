"""Requests for harm, in prompts."""

from detectors.head_detector import HeadDetector


class HarmDetector(HeadDetector):
    """The prompt asks for help with something that a responsible assistant would decline."""

    name = "harm"
    version = "4"
    metrics = ("harmful_request",)
    only = "prompt"
