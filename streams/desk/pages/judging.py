"""How a reviewer judges: the queue's page, and the form of an event."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Self

from streams.desk.access import NAME_LENGTH, Visitor
from streams.desk.asked import Asked, Row
from streams.desk.filters import Filter
from streams.desk.forms import chosen, hidden
from streams.desk.html import Child, Html, behind, el
from streams.desk.layout import page
from streams.desk.parts import bdi, field, labelled, reviewed
from streams.desk.questions.events import PAGE, misses

JUDGEMENTS: Final = (
    ("correct", "a", "Right"), ("false_positive", "w", "Wrong: harmless"),
    ("false_negative", "m", "Wrong: missed"), ("unsure", "u", "Unsure"),
)  # fmt: skip
RULE_KEYS: Final = "123456789bcdefghijklopqrstvxyz"
"""Of the rules of the policy in their order; those that judge, and `n` for later, are taken."""


class Queue(NamedTuple):
    """What is reviewed: all that waits, or the hits of one rule; and the time that the other pages show."""

    rule: str = ""
    time: Filter = Filter()

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Self:
        """Read the query of an address or a form of ours; raise `UserError` for what is none of it."""
        return cls(given.get("rule", ""), Filter.window(given))

    def path(self, **more: str) -> str:
        """Return the address of its next event, of the one after that with `skip="1"`."""
        return self.time.link("/review", rule=self.rule, **more)

    def fields(self) -> dict[str, str]:
        """Return it as a form has it."""
        return {"rule": self.rule} | self.time.given()


ALL: Final = Queue()


def judging_form(row: Row, token: str, path: str, order: Sequence[str], queue: Queue = ALL) -> Html:
    """Return the form of a review; its keys are in `desk.js`.

    `order` has the rules as the policy has them: the key of a rule is the same for each event.
    """
    buttons = [
        el(
            "button",
            {"name": "judgement", "value": value, "data-key": key, "type": "submit"},
            f"{name} ({key})",
        )
        for value, key, name in JUDGEMENTS
    ]
    about = {"app": row["app"], "event_id": row["event_id"], "token": token} | queue.fields()
    later = el("a", {"href": queue.path(skip="1"), "data-key": "n", "class": "button"}, "Later (n)")
    return el(
        "form",
        {"method": "post", "action": path, "class": "judge", "aria-label": "Judge this event"},
        hidden(about),
        _what(row, order, queue),
        labelled("Comment", field("comment", "", maxlength="1000")),
        buttons,
        later if path == "/review" else None,
    )


def _what(row: Row, order: Sequence[str], queue: Queue) -> Html | None:
    """Return the choice of what is judged: the decision, or one of the rules that hit."""
    if not row["rules"]:
        return None
    keys = dict(zip(order, RULE_KEYS, strict=False))
    hit = dict.fromkeys(row["rules"])
    rules = [*(rule for rule in order if rule in hit), *(rule for rule in hit if rule not in order)]
    choices = [("", "the decision", "0"), *((rule, rule, keys.get(rule)) for rule in rules)]
    of_each = "What is said of the decision counts for each of its rules: choose one to judge it alone."
    return el(
        "fieldset", {"class": "what"}, el("legend", None, "Judge"),
        (
            el("label", None, el("input", {
                "type": "radio", "name": "metric", "value": chosen(value),
                "data-key": key,
                "checked": "" if value == (queue.rule if queue.rule in rules else "") else None,
            }), bdi(name), f" ({key})" if key else "")
            for value, name, key in choices
        ),
        el("small", None, of_each) if len(rules) > 1 else None,
    )  # fmt: skip


def saved(judgement: str) -> Html | None:
    """Return that a review was taken; None of what is no judgement."""
    name = next((name for value, _, name in JUDGEMENTS if value == judgement), None)
    return el("p", {"class": "notice", "role": "status"}, f"Saved: {name}.") if name else None


def name_form(visitor: Visitor, token: str | None, queue: Queue) -> Html | None:
    """Return the form in which a reviewer says who he is; None where somebody else says so."""
    if token is None or not visitor.names_himself:
        return None
    return el(
        "form",
        {"method": "post", "action": "/name", "class": "row", "aria-label": "Your name"},
        el("span", None, "You judge as ", bdi(visitor.name), "."),
        hidden({"token": token} | queue.fields()),
        field("name", "", maxlength=str(NAME_LENGTH), placeholder="your name", required=""),
        el("button", {"type": "submit"}, "Use this name"),
    )


def review(
    asked: Asked,
    row: Row | None,
    told: list[Child],
    order: Sequence[str],
    queue: Queue,
    left: int,
    token: str | None,
    who: Html | None,
    thanks: Html | None,
) -> str:
    """Return the next event to judge; `told` says what it is, `who` who judges, `thanks` what was saved.

    `order`: see `judging_form`.
    """
    if row is None or token is None:
        none = "Nothing waits for a review." if token else "You may look here; reviewers judge."
        shown: tuple[Child, ...] = (thanks, el("p", None, none))
    else:
        every = el("a", {"href": queue._replace(rule="").path()}, "all")
        of = (" that ", bdi(queue.rule), " hit: ", every) if queue.rule else None
        progress = el("p", None, f"{left:,} {'' if left < PAGE else 'or more '}to review", of)
        shown = (progress, thanks, judging_form(row, token, "/review", order, queue), *told)
    return page("Review", "/review", asked, *shown, who, _misses(asked), time=queue.time)


def _misses(asked: Asked) -> Html:
    """Return how many of the allowed events should not have been, as far as reviews of a sample say."""
    found = misses(asked)
    said = reviewed(found["missed"], found["reviewed"])
    return el(
        "p", {"class": "none"},
        "Missed, of the allowed events that were taken at random and reviewed in 30 days: ", said,
        behind(len(asked.statements)),
    )  # fmt: skip
