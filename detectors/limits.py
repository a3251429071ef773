"""How much of a text is searched, verified and shown, so that no text can hold up the stream."""

from typing import Final

SCAN_LIMIT: Final = 200_000
"""Characters of a text that are searched; what is beyond never survives redaction."""

CHECK_LIMIT: Final = 500
"""Candidates of one kind in one text that are verified. Those beyond count as findings without a check,
so that a text made of candidates can neither hold up the stream nor hide a value."""

EVIDENCE_LIMIT: Final = 50
"""Findings of one text that are listed as evidence."""
