"""Words, phrases and patterns that an operator wants to know of, in named sets."""

from detectors.terms.detector import TermsDetector
from detectors.terms.sets import TermSet, TermSetError

__all__ = ["TermSet", "TermSetError", "TermsDetector"]
