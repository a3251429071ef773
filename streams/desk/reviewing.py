"""The review queue: who has which event, and what he says of it."""

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from schemas import codec, topics
from schemas.events import Feedback
from streams.decisions.settings import DecisionSettings
from streams.desk.asked import Asked, Row
from streams.desk.questions import events as questions
from streams.errors import UserError
from streams.kafka.records import Producer
from streams.store.client import Store

CLAIM_S: Final = 300.0
"""An event that somebody is shown for review is shown to nobody else for so long."""
COMMENT_LENGTH: Final = 1000


class Reviewing:
    """Hands out events to review, one to each, and publishes what is said. Safe to share between threads."""

    def __init__(self, decisions: DecisionSettings, store: Store, producer: Producer) -> None:
        self._decisions = decisions
        self._store = store
        self._producer = producer
        self._claims: dict[str, tuple[str, float]] = {}
        """By decision id: who has it for review, and until when."""
        self._lock = threading.Lock()

    def next(self, asked: Asked, reviewer: str, *, skip: bool) -> tuple[Row | None, int]:
        """Return the event that a reviewer is shown, and how many wait."""
        waiting = questions.to_review(asked, questions.PAGE)
        mine = self._claim([row["decision_id"] for row in waiting], reviewer, skip=skip)
        row = next((each for each in waiting if each["decision_id"] == mine), None)
        return questions.event(asked, row["app"], row["event_id"]) if row else None, len(waiting)

    def _claim(self, waiting: list[str], reviewer: str, *, skip: bool) -> str | None:
        """Return what a reviewer is shown: what he has, or what nobody has."""
        with self._lock:
            now = time.monotonic()
            self._claims = {one: claim for one, claim in self._claims.items() if claim[1] > now}
            own = [one for one in waiting if self._claims.get(one, ("",))[0] == reviewer]
            if own and not skip:
                return own[-1]
            free = next((one for one in waiting if one not in self._claims), None)
            if free is not None:
                self._claims[free] = (reviewer, now + CLAIM_S)
            return free

    async def publish(self, row: Row, reviewer: str, form: Mapping[str, str]) -> Feedback:
        """Send a review. One reviewer on one event and rule has one id: a second click adds nothing."""
        metric = form.get("metric", "")
        if metric and metric not in row["rules"]:
            raise UserError("the event did not trip that rule")
        feedback = await asyncio.to_thread(self._made, row, reviewer, form)
        key = feedback.event_id.encode()
        await self._producer.send(topics.FEEDBACK, [(key, codec.encode(feedback))])
        with self._lock:
            # Until its row is in the store it must not be shown again.
            self._claims[row["decision_id"]] = ("", time.monotonic() + CLAIM_S)
        return feedback

    def _made(self, row: Row, reviewer: str, form: Mapping[str, str]) -> Feedback:
        # Not before somebody judges: what comments are cleaned with takes 40 MB and a second.
        from streams.decisions.feedback import make_feedback

        return make_feedback(
            row,
            self._decisions,
            form.get("judgement", ""),
            rule=form.get("metric", ""),
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
