"""Toxicity: the six Detoxify labels by their names."""

from detectors.head_detector import HeadDetector


class ToxicityDetector(HeadDetector):
    """The six labels of the Jigsaw challenge of 2018, as Detoxify (Hanu and Unitary 2020) names them."""

    name = "toxicity"
    version = "6"
    metrics = ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")
