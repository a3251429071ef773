"""Distance to named sets of reference texts.

A topic set says what traffic should look like: far from it is suspicious. An attack set says what it
should not look like: near to it is suspicious.
"""

from detectors.references.detector import ReferenceDetector
from detectors.references.sets import ReferenceSet, ReferenceSetError, default_sets, load_texts

__all__ = ["ReferenceDetector", "ReferenceSet", "ReferenceSetError", "default_sets", "load_texts"]
