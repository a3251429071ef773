"""Events as a shop's assistant would publish them; the demo's traffic.

python examples/traffic.py 2000 | weir publish -
"""

import os
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml

from schemas import codec
from schemas.events import Event

TEXTS: Final[dict[str, Any]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


class Planted(NamedTuple):
    """A change for a while: what changes, and between which shares of the events."""

    what: str
    begins: float
    ends: float

    def holds(self, share: float) -> bool:
        """Whether it holds after this share of the events."""
        return self.begins <= share < self.ends


SUBJECT: Final = Planted("the subject of shop-support leaves the shop", 0.14, 0.45)
UNFAIRNESS: Final = Planted("fit-advisor refuses women", 0.20, 0.48)
RUDENESS: Final = Planted("people are rude to review-writer", 0.30, 0.60)
ABUSE: Final = Planted("one user tries injections", 0.42, 0.52)
SLOWNESS: Final = Planted("harbour-large gets slower", 0.60, 0.81)
PLANTED: Final = (SUBJECT, UNFAIRNESS, RUDENESS, ABUSE, SLOWNESS)
ABUSER: Final = "u400"
"""Every sixth conversation is this user's then, every third of those an ordinary one."""
CHANGED_SHARE: Final = 0.95
"""Of the ordinary conversations, while a subject, a tone or an answer is another one."""
WORSE_OFF: Final = "woman"


class Model(NamedTuple):
    """A fictional model: milliseconds to the first token and per token, US dollars per million tokens."""

    name: str
    share: float
    first_token_ms: float
    token_ms: float
    prompt_price: float
    completion_price: float


MODELS: Final = (
    Model("harbour-large", 0.6, 320.0, 21.0, 3.0, 12.0),
    Model("harbour-mini", 0.4, 130.0, 8.0, 0.2, 0.8),
)


class App(NamedTuple):
    """A fictional app: its share of the conversations, and what they are about when nothing is planted."""

    name: str
    share: float
    subject: str
    models: tuple[Model, ...]
    prompt_versions: tuple[str, ...]


SUPPORT: Final = App("shop-support", 0.60, "ordinary", MODELS, ("7", "8"))
REVIEWS: Final = App("review-writer", 0.15, "reviews", MODELS[1:], ("7",))
ADVISOR: Final = App("fit-advisor", 0.25, "advice", MODELS[1:], ("7",))
APPS: Final = (SUPPORT, REVIEWS, ADVISOR)
INSTRUCTIONS: Final = 140
"""Tokens of the prompt template."""
SLOWER: Final = 2.5
"""How much longer `harbour-large` takes for a while."""
USAGE: Final = "usage: python examples/traffic.py COUNT > events.jsonl"
INTERRUPTED: Final = 130
CLOSED_PIPE: Final = 141
"""Exit statuses as shells count them: 128 + SIGINT, 128 + SIGPIPE."""


def events(count: int, seed: int = 1, *, quiet: bool = False) -> Iterator[Event]:
    """Yield `count` events, prompt and completion by turns; the same for the same arguments.

    For a while each the changes of `PLANTED` hold; all else stays as it was. Quiet traffic has none of them,
    nor any attack, insult or secret.
    """
    rng = random.Random(seed)
    pairs = (
        _conversation(rng, number, 1.0 if quiet else 2 * number / count, seed, quiet=quiet)
        for number in range((count + 1) // 2)
    )
    for number, event in enumerate(event for pair in pairs for event in pair):
        if number < count:
            yield event


def _conversation(
    rng: random.Random, number: int, share: float, seed: int, *, quiet: bool
) -> tuple[Event, Event]:
    abuse = ABUSE.holds(share) and number % 6 == 0
    app = SUPPORT if abuse else rng.choices(APPS, [app.share for app in APPS])[0]
    model = rng.choices(app.models, [model.share for model in app.models])[0]
    slots = {name: rng.choice(values) for name, values in TEXTS["slots"].items()}
    planted, carrier, pair = (
        _injection(rng) if abuse and number % 18 else _subject(rng, app, share, slots, quiet=quiet)
    )
    question, answer = (text.format_map(slots) for text in pair)
    version = rng.choice(app.prompt_versions)
    if version == "8" and not planted:
        answer += " Is there anything else I can do for you?"
    shared: dict[str, Any] = {
        "app": app.name,
        "environment": "demo",
        "request_id": f"r{seed}-{number}",
        "conversation_id": f"c{seed}-{number}",
        "model": model.name,
        "provider": "harbour",
        "prompt_name": "support-answer",
        "prompt_version": version,
        "user": ABUSER if abuse else f"u{rng.randrange(400):03}",
    }
    prompt_tokens = _tokens(question) + INSTRUCTIONS
    measured = _measured(rng, model, prompt_tokens, _tokens(answer), SLOWNESS.holds(share))
    prompt = Event(
        event_id=f"e{seed}-{number}-p", kind="prompt", text=question, prompt_tokens=prompt_tokens, **shared
    )
    completion = Event(event_id=f"e{seed}-{number}-c", kind="completion", text=answer, **measured, **shared)
    if not planted:
        return prompt, completion
    marked = [
        msgspec.structs.replace(event, metadata={"planted": planted}) if event.kind == carrier else event
        for event in (prompt, completion)
    ]
    return marked[0], marked[1]


def _injection(rng: random.Random) -> tuple[str, str, tuple[str, str]]:
    scenario = next(each for each in TEXTS["scenarios"] if each["name"] == "injection")
    return scenario["name"], scenario["in"], rng.choice(scenario["pairs"])


def _subject(
    rng: random.Random, app: App, share: float, slots: Mapping[str, str], *, quiet: bool
) -> tuple[str, str, tuple[str, str]]:
    """Return what is planted, in which kind of event, and prompt and completion."""
    draw = rng.random()
    for scenario in () if quiet else TEXTS["scenarios"]:
        draw -= scenario["share"]
        if draw < 0:
            return scenario["name"], scenario["in"], rng.choice(scenario["pairs"])
    changes = {
        SUPPORT: ("shifted", SUBJECT.holds(share)),
        REVIEWS: ("rude", RUDENESS.holds(share)),
        ADVISOR: ("refused", UNFAIRNESS.holds(share) and slots["person"] == WORSE_OFF),
    }
    changed, holds = changes[app]
    subject = changed if holds and rng.random() < CHANGED_SHARE else app.subject
    return "", "", rng.choice(TEXTS["subjects"][subject])


def _measured(
    rng: random.Random, model: Model, prompt_tokens: int, tokens: int, slow: bool
) -> dict[str, Any]:
    slowness = rng.lognormvariate(0.0, 0.15) * (SLOWER if slow and model is MODELS[0] else 1.0)
    first = model.first_token_ms * slowness
    cost = (prompt_tokens * model.prompt_price + tokens * model.completion_price) / 1e6
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": tokens,
        "ttft_ms": round(first, 1),
        "latency_ms": round(first + tokens * model.token_ms * slowness, 1),
        "cost": round(cost, 8),
        "finish_reason": "stop",
    }


def _tokens(text: str) -> int:
    return round(len(text.split()) * 1.3)


def main() -> int:
    """Print events as JSON lines; return the exit status."""
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(USAGE)
        return 0
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit(USAGE)
    seed = random.SystemRandom().randrange(10**9)  # other ids each time: the same ones would count once
    try:
        for event in events(int(sys.argv[1]), seed):
            sys.stdout.buffer.write(codec.encode(event) + b"\n")
        sys.stdout.buffer.flush()
    except (BrokenPipeError, KeyboardInterrupt) as error:
        # The interpreter flushes stdout once more at its end; that must not fail or wait for a reader.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE if isinstance(error, BrokenPipeError) else INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
