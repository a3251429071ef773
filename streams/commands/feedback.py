"""`weir feedback`."""

import asyncio
import time
from typing import get_args

import click

from schemas.events import NAME_LENGTH, Judgement
from streams.terminal.command import Command, say, user_name

WORDS = ("right", "wrong")


@click.command(cls=Command)
@click.argument("event_id")
@click.argument("judgement", type=click.Choice((*WORDS, *get_args(Judgement))))
@click.option(
    "--rule", default="", metavar="ID", help="The rule or metric that is judged; default: the decision."
)
@click.option("--comment", default="", metavar="TEXT", help="Why; personal data and secrets are taken out.")
@click.option("--app", default="", help="The app of the event, where several have one of this id.")
@click.option("--reviewer", metavar="NAME", help="Who says so; default: your user name here.")
def command(event_id: str, judgement: str, rule: str, comment: str, app: str, reviewer: str | None) -> None:
    """Say whether the decision on a stored event was right: publishes to llm.feedback.

    right: it was; wrong: it was not; or, as the message has it, correct; false_positive: it should have
    passed; false_negative: it should not have; unsure. Said again by the same reviewer of the same event and
    rule, it replaces what was said before. Where the decision was to escalate, right blocks the event and
    wrong lets it go on: the answer comes on llm.decisions.

    \b
    Example:
      weir feedback e-1042 wrong --rule injection-block --comment "asks how attacks work"
      weir feedback e-1043 right --app shop
    """
    from streams.decisions.explain import stored
    from streams.decisions.feedback import COLUMNS, make_feedback, meant, publish
    from streams.settings import load
    from streams.store.client import make_store

    reviewer = reviewer if reviewer is not None else user_name()
    if len(reviewer) > NAME_LENGTH:
        raise click.UsageError(f"--reviewer has {len(reviewer)} characters: at most {NAME_LENGTH}")
    settings = load()
    store = make_store(settings)
    try:
        event = stored(store, event_id, app, COLUMNS)
    finally:
        store.close()
    now_ms = time.time_ns() // 1_000_000
    feedback = make_feedback(
        event,
        settings,
        meant(event, judgement, rule),
        rule=rule,
        reviewer=reviewer,
        comment=comment,
        now_ms=now_ms,
    )
    asyncio.run(publish(feedback, settings))
    about = f" about {feedback.metric}" if feedback.metric else ""
    say(
        f"{feedback.judgement}{about} for event {feedback.event_id} of {feedback.app}, by {feedback.reviewer}"
    )
    if feedback.comment != comment:
        say(f"the comment is kept as: {feedback.comment}", err=True)
