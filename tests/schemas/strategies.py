"""Arbitrary valid messages."""

import datetime as dt

from hypothesis import strategies as st

from schemas.events import Event, Feedback, ToolCall

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
COUNTS = st.none() | st.integers(0, 2**32 - 1)
AMOUNTS = st.none() | st.floats(0, allow_infinity=False)
TIMESTAMPS = (
    st.none()
    | st.integers(0, 2**53)
    | st.datetimes(dt.datetime(1970, 1, 2), timezones=st.sampled_from([None, dt.UTC]))
)

EVENTS = st.builds(
    Event,
    event_id=IDS,
    app=IDS,
    kind=st.sampled_from(["prompt", "completion"]),
    text=TEXTS,
    timestamp=TIMESTAMPS,
    contexts=st.lists(TEXTS, max_size=3).map(tuple),
    tool_calls=st.lists(st.builds(ToolCall, name=IDS, arguments=TEXTS), max_size=2).map(tuple),
    metadata=st.dictionaries(TEXTS, TEXTS, max_size=3),
    **dict.fromkeys(("prompt_tokens", "completion_tokens"), COUNTS),
    **dict.fromkeys(("latency_ms", "ttft_ms", "cost"), AMOUNTS),
    **dict.fromkeys(("request_id", "conversation_id", "tenant", "environment", "model", "provider"), TEXTS),
    **dict.fromkeys(("prompt_name", "prompt_version", "user", "chain", "step", "system_prompt"), TEXTS),
    **dict.fromkeys(("finish_reason", "trace_id", "span_id"), TEXTS),
)

FEEDBACK = st.builds(
    Feedback,
    feedback_id=IDS,
    event_id=IDS,
    app=IDS,
    reviewer=TEXTS,
    judgement=st.sampled_from(["correct", "false_positive", "false_negative", "unsure"]),
    metric=TEXTS,
    comment=TEXTS,
    timestamp=TIMESTAMPS,
)
