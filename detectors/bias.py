"""Bias: attacks on people for what they are, and stereotypes about groups."""

from detectors.head_detector import HeadDetector


class BiasDetector(HeadDetector):
    """`bias_identity_attack`: hostility towards a group; `bias_stereotype`: a generalisation about one."""

    name = "bias"
    version = "5"
    metrics = ("bias_identity_attack", "bias_stereotype")
