"""What a person does about an alert: acknowledge, silence, resolve. Pages and commands publish it."""

import hashlib

from schemas import codec, topics
from schemas.alerts import MOST_COMMENT, ActionKind, AlertAction
from schemas.events import NAME_LENGTH
from streams.errors import UserError
from streams.kafka.records import Producer


def acknowledge(alert_id: str, who: str, comment: str = "", *, now_ms: int) -> AlertAction:
    """Somebody has seen it: nobody is told again, until it is over or gets worse."""
    return _action("acknowledge", alert_id, who, comment, 0, now_ms)


def silence(alert_id: str, who: str, until_ms: int, comment: str = "", *, now_ms: int) -> AlertAction:
    """Nobody is told of it until then, but that it is over; `until_ms` 0 ends a silence."""
    if until_ms and until_ms <= now_ms:
        raise UserError("a silence ends in the future")
    return _action("silence", alert_id, who, comment, until_ms, now_ms)


def resolve(alert_id: str, who: str, comment: str = "", *, now_ms: int) -> AlertAction:
    """It is over. What comes within WEIR_ALERT_COOLDOWN_S opens it again."""
    return _action("resolve", alert_id, who, comment, 0, now_ms)


async def publish(action: AlertAction, producer: Producer) -> None:
    """Send it to `llm.alert-actions`; `KafkaError` where that fails."""
    await producer.send(topics.ALERT_ACTIONS, [(action.alert_id.encode(), codec.encode(action))])


def _action(kind: ActionKind, alert_id: str, who: str, comment: str, until: int, now_ms: int) -> AlertAction:
    """Return an action; `UserError` says what is wrong with it."""
    for what, text, most in (("name", who, NAME_LENGTH), ("comment", comment, MOST_COMMENT)):
        if len(text) > most:
            raise UserError(f"the {what} has {len(text):,} characters: at most {most:,}")
    if not alert_id or len(alert_id) > NAME_LENGTH:
        raise UserError("an alert has an id of 1 to 256 characters; `weir alerts list` shows them")
    if not who.strip():
        raise UserError("an action needs the name of who does it")
    parts = "\0".join((kind, alert_id, who, str(until), str(now_ms)))
    digest = hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return AlertAction(
        action_id=digest, alert_id=alert_id, action=kind, who=who, comment=comment, until=until,
        timestamp=now_ms,
    )  # fmt: skip
