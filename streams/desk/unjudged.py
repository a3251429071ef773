"""Which events were not fully judged, and why: for the counts, the filter and the page of an event alike."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from streams.desk.languages import NAMES

REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "failed": ("notEmpty(failed)", ""),
    "hurried": ("notEmpty(degraded)", ""),
    "unread": ("text_unjudged > 0", "text_unjudged"),
    "language": ("language_unjudged > 0", "language_unjudged"),
}
"""As `judged` of a filter has them: SQL, and the metric that the events must have for it."""
PARTLY: Final = "partly"
JUDGED: Final = (PARTLY, *REASONS)
"""What a filter may ask for: any reason, or one."""
_LEFT_OUT: Final = {
    "transformer": "the transformer, though the text was in doubt",
    "long_text": "all but the first characters of each text",
}


def condition(judged: str, columns: Collection[str]) -> str:
    """Return as SQL that an event was not fully judged; `columns` are the metrics that there are."""
    wanted = REASONS if judged == PARTLY else (judged,)
    found = [sql for sql, column in map(REASONS.__getitem__, wanted) if not column or column in columns]
    # A metric that an event does not have is NULL: that is no reason.
    return f"ifNull({' OR '.join(found)}, false)" if found else "false"


def reasons(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield for a person why an event was not fully judged; nothing where it was."""
    if row["failed"]:
        yield f"failed: {', '.join(row['failed'])}"
    if row["degraded"]:
        yield "for lack of time left out: " + ", ".join(_LEFT_OUT.get(each, each) for each in row["degraded"])
    if unread := row.get("text_unjudged"):
        yield f"{unread:,.0f} characters were looked at by no detector"
    if row.get("language_unjudged"):
        language = NAMES.get(row["language"], row["language"])
        yield f"its language ({language}) is one that no classifier was measured in"
