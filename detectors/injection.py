"""Prompt injection and jailbreaks, in prompts."""

from detectors.linear_detector import LinearDetector


class InjectionDetector(LinearDetector):
    """Direct injections, jailbreaks, and instructions hidden in documents that a prompt carries along."""

    name = "injection"
    version = "1"
    metrics = ("injection",)
    only = "prompt"
