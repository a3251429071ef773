"""Bias: attacks on people for what they are, and stereotypes about groups."""

from detectors.linear_detector import LinearDetector


class BiasDetector(LinearDetector):
    """`bias_identity_attack`: hostility towards a group; `bias_stereotype`: a generalisation about one."""

    name = "bias"
    version = "1"
    metrics = ("bias_identity_attack", "bias_stereotype")
