"""What a backtest found, as it is printed and as it is JSON."""

from typing import Any, Literal

import msgspec

from streams.policy.reviews import Share

Demoted = Literal["back", "stays", "as_written"]


class Change(msgspec.Struct, frozen=True):
    """Decisions of an app that become others."""

    app: str
    before: str
    after: str
    events: int


class RuleChange(msgspec.Struct, frozen=True):
    """Decisions of an app that become others because of a rule; more rules than one may be the cause."""

    rule: str
    app: str
    before: str
    after: str
    events: int


class RuleReport(msgspec.Struct, frozen=True):
    """The hits of a rule, in shadow too, under both policies."""

    rule: str
    mode_before: str
    """`off` where the policy does not have the rule."""
    mode_after: str
    before: int
    after: int
    gained: int
    lost: int
    unknown: int
    """Events of which it is not known whether the rule hits, under one of the policies."""
    alerts_before: bool
    alerts_after: bool
    precision_before: Share | None
    precision_after: Share | None
    recall_before: Share | None
    recall_after: Share | None


class Sample(msgspec.Struct, frozen=True):
    """An event whose decision changes."""

    app: str
    event_id: str
    timestamp: int
    """Milliseconds since 1970 (UTC)."""
    before: str
    after: str
    rules_before: list[str]
    rules_after: list[str]
    scores: dict[str, float]
    """Of the metrics that the rules which differ look at."""
    text: str | None = None
    """As it was kept, where it was asked for."""


class Report(msgspec.Struct):
    """The result of a backtest. Counts are of events; `before`: by the policy it is held against."""

    draft: dict[str, str] = {}
    """`source`, `name`, `version`, `hash`; so for `baseline`."""
    baseline: dict[str, str] = {}
    since_ms: int = 0
    first_ms: int = 0
    last_ms: int = 0
    detectors: str = ""
    """The detectors whose scores were replayed; empty for all."""
    other_detectors: dict[str, int] = {}
    """Events that were left out, by the detectors that scored them."""
    not_scored: dict[str, list[str]] = {}
    """Metrics that no event has under these detectors, with the rules that look at them."""
    blocking_unscored: list[str] = []
    """Rules of the draft that would block by such a metric."""
    demoted: dict[str, Demoted] = {}
    """What becomes of each rule that reviews sent to shadow and that the draft enforces: with the draft it is
    `back` in force, since the draft changes when it hits; it `stays` in shadow; or it is judged here
    `as_written`, since the draft is not held against the policy in force."""
    events: int = 0
    """Read; of these `replayed` are certain, `alike` and `unknown` are not."""
    replayed: int = 0
    alike: int = 0
    """Decided the same by both, whatever it is: the rules that look at what is not known are in both."""
    unknown: int = 0
    unknown_because: dict[str, int] = {}
    """By the metric or field whose value is not known; an event may count for several."""
    failed: int = 0
    """Detectors failed: judged as the rules' `on_failure` says."""
    degraded: int = 0
    decided_by_baseline: int = 0
    """Decided at the time by the policy that the draft is held against, of which
    `decided_alike` come out the same in the replay, `decided_otherwise` do not."""
    decided_alike: int = 0
    decided_otherwise: int = 0
    actions_before: dict[str, int] = {}
    actions_after: dict[str, int] = {}
    new_blocks: int = 0
    may_be_new_blocks: int = 0
    """Of the unknown ones."""
    alerts_before: int = 0
    alerts_after: int = 0
    changes: list[Change] = []
    causes: list[RuleChange] = []
    shadow: list[RuleChange] = []
    """What rules of the draft in mode shadow would change if they were enforced."""
    rules: list[RuleReport] = []
    samples: list[Sample] = []
    reviewed: int = 0
    disputed: int = 0
    precision_before: Share | None = None
    precision_after: Share | None = None
    recall_before: Share | None = None
    recall_after: Share | None = None

    @property
    def changed(self) -> int:
        """Decisions that change."""
        return sum(change.events for change in self.changes)

    @property
    def days(self) -> float:
        """Between the first event and the last."""
        return (self.last_ms - self.first_ms) / 86_400_000

    def alerts_per_day(self) -> tuple[float, float] | None:
        """Return alerts per day, before and after; None where the events span less than an hour."""
        if self.days < 1 / 24:
            return None
        return self.alerts_before / self.days, self.alerts_after / self.days

    def as_json(self) -> dict[str, Any]:
        """Return all of it, with what follows from it."""
        per_day = self.alerts_per_day()
        return {
            **msgspec.structs.asdict(self),
            "changed": self.changed,
            "days": round(self.days, 3),
            "alerts_per_day_before": per_day and round(per_day[0], 2),
            "alerts_per_day_after": per_day and round(per_day[1], 2),
        }
