"""Toxicity: the six Detoxify labels by their names."""

from detectors.linear_detector import LinearDetector


class ToxicityDetector(LinearDetector):
    """The six labels of the Jigsaw challenge of 2018, as Detoxify (Hanu and Unitary 2020) names them."""

    name = "toxicity"
    version = "1"
    metrics = ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")
