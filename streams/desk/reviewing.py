"""The review queue: who has which event, and what he says of it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import unquote

import structlog

from schemas import codec, topics
from schemas.events import Feedback
from streams.decisions.settings import DecisionSettings
from streams.desk.asked import Asked, Row
from streams.desk.questions import events as questions
from streams.errors import UserError
from streams.kafka.clients import BrokerError
from streams.kafka.records import Producer

log = structlog.get_logger(__name__)
COMMENT_LENGTH: Final = 1000


class Holding(Protocol):
    """Who has what; `claims.Claims` over a broker."""

    async def claim(self, waiting: Sequence[str], reviewer: str, *, skip: bool = False) -> str | None:
        """Return the decision id that a reviewer is shown."""

    async def done(self, decision_id: str, reviewer: str) -> None:
        """Have nobody shown an event that is judged."""


class Reviewing:
    """Hands out events to review, one to each, and publishes what is said."""

    def __init__(self, decisions: DecisionSettings, producer: Producer, claims: Holding) -> None:
        self._decisions = decisions
        self._producer = producer
        self._claims = claims

    async def next(
        self, asked: Asked, reviewer: str, rule: str = "", *, skip: bool
    ) -> tuple[Row | None, int]:
        """Return the event that a reviewer is shown, and how many wait, of a rule where it is named.

        `BrokerError` without a broker.
        """
        waiting = await asyncio.to_thread(questions.to_review, asked, questions.PAGE, rule)
        mine = await self._claims.claim([row["decision_id"] for row in waiting], reviewer, skip=skip)
        row = next((each for each in waiting if each["decision_id"] == mine), None)
        if row is None:
            return None, len(waiting)
        return await asyncio.to_thread(questions.event, asked, row["app"], row["event_id"]), len(waiting)

    async def publish(self, row: Row, reviewer: str, form: Mapping[str, str]) -> Feedback:
        """Send a review. One reviewer on one event and rule has one id: a second click adds nothing."""
        rule = unquote(form.get("metric", ""))
        if rule and rule not in row["rules"]:
            raise UserError("the event did not trip that rule")
        feedback = await asyncio.to_thread(self._made, row, rule, reviewer, form)
        await self._producer.send(topics.FEEDBACK, [(feedback.event_id.encode(), codec.encode(feedback))])
        try:
            await self._claims.done(row["decision_id"], reviewer)
        except BrokerError as error:  # the review itself is kept
            log.warning("the event may be shown again", problem=str(error))
        return feedback

    def _made(self, row: Row, rule: str, reviewer: str, form: Mapping[str, str]) -> Feedback:
        # Not before somebody judges: what comments are cleaned with takes 40 MB and a second.
        from streams.decisions.feedback import make_feedback

        return make_feedback(
            row,
            self._decisions,
            form.get("judgement", ""),
            rule=rule,
            reviewer=reviewer,
            comment=form.get("comment", "")[:COMMENT_LENGTH],
            now_ms=time.time_ns() // 1_000_000,
        )


def stored(asked: Asked, app: str, event_id: str) -> dict[str, Any]:
    """Return all of an event; `UserError` where there is none."""
    row = questions.event(asked, app, event_id)
    if row is None:
        raise UserError("there is no such event, or it is not in the store yet")
    return row
