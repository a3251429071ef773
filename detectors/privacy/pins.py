"""PINs in sentences: "my PIN number is 4821", "mon code PIN est le 4821"; with "=" only those of a card."""

import re
from typing import Final

from detectors.privacy.findings import Span
from detectors.privacy.labels import Label

_IS: Final = r"(?:is|was|ist|lautet|est|es|é|è)"
# Four digits: a "PIN code" of six is a postal one.
_SAID = re.compile(
    r"(?:[ -](?:code|number|no\.?|nummer|num[eé]ro|número|номер))?[\"']?(?P<sign>\s?[:=]\s?|\s)"
    rf"(?:{_IS}\s:?\s?)?(?:(?:now|jetzt|le|el|il|o)\s)?[\"']?(?P<pin>[0-9]{{4}})(?![\w.,-]*[0-9])",
    re.IGNORECASE,
)
_SIGN = re.compile(rf":|\s{_IS}\s", re.IGNORECASE)
# Without it "pin =" is one of a chip.
_OF_CARD = re.compile(
    r"(?<![a-z])(?:atm|card|bank|debit|credit|sim|my|your|his|her|their|our)[\s_-]\Z", re.IGNORECASE
)
# Of a form, an address of a page or a file of settings, and no argument of a call.
_SETTING = re.compile(r"(?:\A|[\n?&;])\Z")
_LONGEST_OWNER: Final = 8


def said_pin(text: str, label: Label) -> Span | None:
    """Return the four digits that a sentence calls a PIN, None where it does not."""
    match = _SAID.match(text, label.end)
    if match is None:
        return None
    if _SIGN.search(text, label.end, match.start("pin")):
        return match.span("pin")
    if match["sign"] == "=" and _SETTING.search(text, max(0, label.start - 2), label.start):
        return match.span("pin")
    of_card = _OF_CARD.search(text, max(0, label.start - _LONGEST_OWNER), label.start)
    return match.span("pin") if "=" in match["sign"] and of_card else None
