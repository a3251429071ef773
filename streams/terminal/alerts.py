"""Alerts for a person."""

from collections.abc import Sequence

from schemas.alerts import AlertChange
from streams.terminal.command import WIDE, plain
from streams.terminal.messages import moment
from streams.terminal.table import TextTable

ID = 8
"""Hex digits of an id that the table shows: enough to name an alert by."""
_HEADER = ("since", "id", "state", "severity", "app", "rule", "alerts", "who", "title")


def table(alerts: Sequence[AlertChange], room: int = WIDE) -> str:
    """Return a table with a line for each alert, `room` columns wide."""
    lines = [
        (
            moment(x.opened_at)[:19],
            plain(x.alert_id[:ID]),
            plain(x.state),
            plain(x.severity),
            plain(x.app or "(several)"),
            plain(x.rule),
            f"{x.alerts:,}",
            plain(x.who),
            plain(x.title),
        )
        for x in alerts
    ]
    found = TextTable(_HEADER, lines, [name == "alerts" for name in _HEADER], room)
    return "\n".join([*found.head(), *map(found.row, lines)])
