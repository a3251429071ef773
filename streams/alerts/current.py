"""The alerts as they are now, read from `llm.alert-states`."""

from collections.abc import Sequence

from schemas import codec, topics
from schemas.alerts import AlertChange
from streams.errors import UserError
from streams.kafka.clients import BrokerError, read_to_end
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import missing_topics

SHORTEST = 4
"""Digits of an id that name an alert, where no other begins with them."""


async def read(settings: KafkaSettings) -> list[AlertChange]:
    """Return the last change of each alert of the last 30 days, the newest alert last; or `BrokerError`."""
    if topics.ALERT_STATES in await missing_topics(settings):
        raise BrokerError(f"{settings.kafka} has no topic {topics.ALERT_STATES}: `weir topics` creates it")
    alerts = Latest()
    async for record in read_to_end(settings, topics.ALERT_STATES):
        alerts.take(record.value)
    return alerts.ordered()


class Latest:
    """The last change of each alert."""

    def __init__(self) -> None:
        self._found: dict[str, AlertChange] = {}

    def take(self, value: bytes | None) -> None:
        """Take a message; what is none is left out."""
        try:
            change = codec.decode(AlertChange, value)
        except codec.Rejected:
            return
        known = self._found.get(change.alert_id)
        if known is None or (known.version, known.timestamp) <= (change.version, change.timestamp):
            self._found[change.alert_id] = change

    def ordered(self) -> list[AlertChange]:
        """Return them, the newest alert last."""
        return sorted(self._found.values(), key=lambda change: change.opened_at)


def named(alerts: Sequence[AlertChange], name: str) -> AlertChange:
    """Return the alert of an id, of its first digits, or of the id of one of its parts; else `UserError`."""
    found = [each for each in alerts if name in (each.alert_id, *(part.part_id for part in each.parts))]
    if not found and len(name) >= SHORTEST:
        found = [each for each in alerts if each.alert_id.startswith(name)]
    if len(found) > 1:
        raise UserError(f"{len(found)} alerts begin with {name!r}: give more digits")
    if not found:
        raise UserError(f"no alert {name!r}: `weir alerts list --all` shows those of the last 30 days")
    return found[0]
