"""The messages on Kafka.

Every message is one JSON object. The evolution rule: a field is only ever added, with a default;
a reader ignores names that it does not know. So yesterday's reader takes today's message and the
other way round (`tests/schemas/test_evolution.py`).
"""

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec

Kind = Literal["prompt", "completion"]
Action = Literal["flag", "redact", "escalate", "block"]
"""What a rule may ask for."""
Verdict = Literal["allow", Action]
RuleSeverity = Literal["low", "medium", "high", "critical"]
Severity = Literal["none", RuleSeverity]
Mode = Literal["enforce", "shadow"]
Storage = Literal["full", "redacted", "hash", "none"]
Kept = Literal[Storage, "oversize"]
Judgement = Literal["correct", "false_positive", "false_negative", "unsure"]

KINDS: tuple[Kind, ...] = get_args(Kind)
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""Like the verdicts by code, from weakest to strongest."""

# Words that may become more. Whoever writes is held to those of today, by mypy; whoever reads takes any text:
# the archive of yesterday makes a row of what the guard of tomorrow says.
if TYPE_CHECKING:
    OpenVerdict = Verdict
    OpenSeverity = Severity
    OpenMode = Mode
    OpenStorage = Kept
else:
    OpenVerdict = Annotated[str, msgspec.Meta(examples=list(VERDICTS))]
    OpenSeverity = Annotated[str, msgspec.Meta(examples=list(SEVERITIES))]
    OpenMode = Annotated[str, msgspec.Meta(examples=list(get_args(Mode)))]
    OpenStorage = Annotated[str, msgspec.Meta(examples=list(get_args(Kept)))]

NAME_LENGTH = 256
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LENGTH)]
OptionalId = Annotated[str, msgspec.Meta(max_length=NAME_LENGTH)]
Name = Annotated[str, msgspec.Meta(max_length=NAME_LENGTH)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Long = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What a column of the store can hold: a message with more is refused when it is read, not by the store."""


MOST_ENTRIES = 4_096
Entries = msgspec.Meta(max_length=MOST_ENTRIES)
"""Each entry is a text of its own for the detectors: more of them than anybody needs would hold up others."""


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool that the model asked for."""

    name: Name
    arguments: str = ""
    """The arguments as the model wrote them, usually JSON."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One prompt or one completion, as an app publishes it to `llm.events`.

    Only `event_id`, `app`, `kind` and `text` are required.
    """

    event_id: Id
    """Unique within `app`; publishing the same id again is a retry, not a second event."""
    app: Id
    kind: Kind
    text: str
    request_id: OptionalId = ""
    """The same on a prompt and on its completion."""
    conversation_id: OptionalId = ""
    tenant: Name = ""
    environment: Name = ""
    timestamp: dt.datetime | int | None = None
    """When it happened: RFC 3339, or milliseconds since 1970 (UTC). Without one, Kafka's timestamp."""
    model: Name = ""
    provider: Name = ""
    prompt_name: Name = ""
    """Name of the prompt template."""
    prompt_version: Name = ""
    user: OptionalId = ""
    """A pseudonym, never a name or an address."""
    chain: Name = ""
    step: Name = ""
    """Step in the LLM chain."""
    prompt: str = ""
    """The prompt that a completion answers: judged together with it, never kept."""
    system_prompt: str = ""
    contexts: Annotated[tuple[str, ...], Entries] = ()
    """Retrieved passages that the completion should rest on."""
    tool_calls: Annotated[tuple[ToolCall, ...], Entries] = ()
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    latency_ms: Amount | None = None
    ttft_ms: Amount | None = None
    """Time to first token, milliseconds."""
    cost: Amount | None = None
    """US dollars."""
    finish_reason: Name = ""
    trace_id: OptionalId = ""
    span_id: OptionalId = ""
    metadata: Annotated[dict[str, str], Entries] = {}

    def without_texts(self, metadata: dict[str, str]) -> "Event":
        """Return what the storage `hash` keeps: no text, of tool calls the names, and this metadata."""
        calls = tuple(ToolCall(name=call.name) for call in self.tool_calls)
        return msgspec.structs.replace(
            self, text="", system_prompt="", contexts=(), tool_calls=calls, metadata=metadata
        )


class RuleHit(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A policy rule that an event tripped."""

    rule: Name
    action: OpenVerdict
    severity: OpenSeverity
    mode: OpenMode
    metric: str = ""
    """The metric that decided; empty when the rule has no metric, or hit because a detector failed."""
    score: float | None = None
    failed: bool = False
    """A detector that it needs failed, or had no time for all it reads, and the rule is closed on that."""


class Decision(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The answer to one event, on `llm.decisions`, keyed by `conversation_id` or `event_id`."""

    decision_id: str
    """The same for the same app and event id, whatever is replayed."""
    event_id: str
    app: str
    kind: Kind
    verdict: OpenVerdict
    """What the policy found, shadow rules included."""
    action: OpenVerdict
    """What is enforced: the strongest verdict among the rules in mode `enforce`."""
    severity: OpenSeverity = "none"
    request_id: str = ""
    conversation_id: str = ""
    rules: tuple[RuleHit, ...] = ()
    failed: tuple[str, ...] = ()
    """Detectors that raised or overran their time budget."""
    degraded: tuple[str, ...] = ()
    """What was left out for lack of time: `transformer` (in doubt), `long_text` (all but the beginning)."""
    text: str | None = None
    """The redacted text to use in place of the original, where `action` is `redact`."""
    policy_version: str = ""
    policy_hash: str = ""
    detectors_hash: str = ""
    """Of the detectors, their weights and references: scores under different ones do not compare."""
    decided_at: Long = 0
    """Milliseconds since 1970 (UTC)."""
    latency_ms: float = 0.0
    """From Kafka's timestamp of the event to the decision; from its reading where there is no sane one."""
    decided_by: str = "policy"
    """`reviewer` where a person has answered an `escalate`."""
    revision: Long = 0
    """Of the decisions with one id, that with the highest counts."""


class ScoredEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An event with its scores and its decision, on `llm.scores`, keyed by segment.

    The event's texts are already reduced by the text storage policy; `timestamp` is always set, in
    milliseconds.
    """

    event: Event
    scores: dict[str, float]
    """By metric name; a metric that does not apply is absent."""
    decision: Decision
    timestamp: Long
    storage: OpenStorage = "redacted"
    text_hash: str = ""
    """Keyed BLAKE2b of the original text, to find it again; of over 200,000 characters: of both ends."""
    pii_types: tuple[str, ...] = ()
    language: str = ""  # ISO 639-1
    named_groups: tuple[Name, ...] = ()
    nearest_reference: str = ""
    sketch: bytes = b""
    """What the text as it is kept is about: see `schemas.sketches`. Empty where no text is kept."""


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Why a detector gave a score: a span of the text, a word and its weight, a reference."""

    detector: str
    metric: str
    label: str = ""
    """The kind of finding, for example `EMAIL`; the reference set; `encoder`, whose log-odds rest on the
    words; or how the text was hidden, for example `base64`."""
    start: Long = -1
    """First character of the span in the original text; -1 where there is no span."""
    end: Long = -1
    weight: float | None = None
    """How much it adds: the fall of the log-odds without the words (encoder), the log-odds themselves of a
    decoded text or a context, the similarity of a reference."""
    text: str = ""
    """The span or the reference. Never the value of a PII or secret finding."""


class Alert(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something a person should see, on `llm.alerts`."""

    alert_id: str
    """The same for the same cause, whatever is replayed."""
    source: str
    """The role that raised it: `guard`, `watch` or `archive`."""
    severity: OpenSeverity
    rule: str
    """The policy rule, `drift` or `dead_letters`."""
    title: str
    timestamp: Long
    """Of the event that caused it, milliseconds since 1970 (UTC)."""
    app: str
    model: str = ""
    prompt_version: str = ""
    event_id: str = ""
    decision_id: str = ""
    conversation_id: str = ""
    action: OpenVerdict = "flag"
    mode: OpenMode = "enforce"
    metric: str = ""
    score: float | None = None
    evidence: tuple[Evidence, ...] = ()
    policy_version: str = ""
    policy_hash: str = ""
    subject: str = ""
    """What it is about beside app and rule, such as a user: alerts of the same three are one cause."""
    open_ended: bool = False
    """It lasts until it is published again, under the same id, with `resolved_at`."""
    resolved_at: Long = 0
    """When it was over, milliseconds since 1970 (UTC)."""


class Feedback(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a reviewer says about a decision, on `llm.feedback`."""

    feedback_id: Id
    event_id: Id
    app: Id
    reviewer: Name
    judgement: Judgement
    metric: Name = ""
    """The metric or rule that is judged; empty for the whole decision."""
    comment: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    timestamp: dt.datetime | int | None = None


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A message that could not be processed, on `llm.dlq`."""

    dead_letter_id: str
    topic: str
    partition: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
    offset: Long
    timestamp: Long
    """Kafka's timestamp of the message, milliseconds since 1970 (UTC)."""
    reason: str
    """One of `schemas.codec.Reason`."""
    detail: str
    """Where and what, without any of the message's text."""
    size: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    """Bytes of the payload."""
    payload_sha256: str = ""
    payload: bytes = b""
    """The start of the payload (base64 in JSON), as long as the operator allows."""
    key: bytes = b""
    """The key of the message (base64 in JSON); none where it has more than 8,192 bytes."""
    app: str = ""
    """The app that the payload names, where it can be read."""
    repeats: tuple[Long, ...] = ()
    """In a flood: offsets of later messages, refused for the same reason, that have no letter."""
    state: str = ""
    """What was done about it: `republished` or `dropped`; such a record has no payload."""
