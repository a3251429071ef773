"""What is known of each action and severity beside its word: who counts, sorts or colours them reads it here.

`tests/streams/policy/test_actions.py` fails where a word of `schemas.events` has no line in these tables.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from schemas.events import Severity, Verdict


class Colour(NamedTuple):
    """A colour on a terminal, as click names it, and on a page by day and by night, as CSS writes it."""

    terminal: str = ""
    is_bold: bool = False
    light: str = ""
    dark: str = ""


class ActionTraits(NamedTuple):
    """An action, as everybody has to know it."""

    done: str
    """What it does to an event, as a participle: the name of its count."""
    alerts: bool
    """Whether its rules raise alerts where they do not say."""
    stops: bool
    """Whether the text must not go on: the gate refuses it."""
    colour: Colour


class SeverityTraits(NamedTuple):
    """A severity, as everybody has to know it."""

    is_grave: bool
    """Whether it is shown so that nobody overlooks it."""
    colour: Colour = Colour()


ACTIONS: Final[Mapping[Verdict, ActionTraits]] = MappingProxyType(
    {
        "allow": ActionTraits(
            "allowed", alerts=False, stops=False, colour=Colour("green", light="#7f8c88", dark="#7b8884")
        ),
        "flag": ActionTraits(
            "flagged", alerts=False, stops=False, colour=Colour("yellow", light="#a86400", dark="#f0b45b")
        ),
        "redact": ActionTraits(
            "redacted", alerts=False, stops=False, colour=Colour("cyan", light="#1f6fb2", dark="#84bdf0")
        ),
        "escalate": ActionTraits(
            "escalated",
            alerts=True,
            stops=True,
            colour=Colour("magenta", is_bold=True, light="#8a4b9e", dark="#d5a3e6"),
        ),
        "block": ActionTraits(
            "blocked",
            alerts=True,
            stops=True,
            colour=Colour("red", is_bold=True, light="#b3261e", dark="#ff8a80"),
        ),
    }
)
"""By strength, the weakest first, as in `schemas.events.VERDICTS`."""
SEVERITY_TRAITS: Final[Mapping[Severity, SeverityTraits]] = MappingProxyType(
    {
        "none": SeverityTraits(is_grave=False),
        "low": SeverityTraits(is_grave=False),
        "medium": SeverityTraits(is_grave=False, colour=Colour("yellow")),
        "high": SeverityTraits(is_grave=True, colour=Colour("red")),
        "critical": SeverityTraits(is_grave=True, colour=Colour("red", is_bold=True)),
    }
)
GRAVE: Final = frozenset(word for word, traits in SEVERITY_TRAITS.items() if traits.is_grave)
ACTED: Final[Mapping[Verdict, str]] = MappingProxyType(
    {word: traits.done for word, traits in reversed([*ACTIONS.items()]) if word != "allow"}
)
"""What is more than letting pass, the strongest first, and the name of its count."""
