"""Parts of messages in the notations of Gemini and Bedrock, which give them no type."""

import json
from collections.abc import Sequence

import pytest

from schemas.events import ToolCall
from tests.schemas.otel.samples import read

SAID = {"text": "Where is my parcel?"}
DATA = "iVBORw0KGgo" * 20
MEDIA = [
    {"inlineData": {"mimeType": "image/png", "data": DATA}},
    {"inline_data": {"mime_type": "image/png", "data": DATA}},
    {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://bucket/a"}},
    {"image": {"format": "png", "source": {"bytes": DATA}}},
    {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/a"}}}},
    {"document": {"format": "pdf", "name": "a", "source": {"bytes": DATA}}},
    {"cachePoint": {"type": "default"}},
]
PLACES = ["gen_ai.prompt", "gen_ai.input.messages", "input.value", "langfuse.observation.input"]


def shapes(parts: Sequence[object], role: str) -> list[object]:
    return [
        parts, {"parts": parts}, {"content": parts}, [{"parts": parts}], [{"content": parts}],
        {"role": role, "parts": parts}, [{"role": role, "content": parts}],
    ]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("media", [*MEDIA, None])
def test_the_text_is_read_and_media_are_left_out(media: dict[str, object] | None, place: str) -> None:
    parts = [SAID, media] if media else [SAID]
    for shape in [*shapes(parts, "user"), {"contents": {"parts": parts}}, {"contents": parts}]:
        assert read({place: json.dumps(shape)}) == {"prompt": "Where is my parcel?"}, shape


@pytest.mark.parametrize(
    "call",
    [
        {"functionCall": {"name": "track", "args": {"parcel": 7}}},
        {"function_call": {"name": "track", "args": {"parcel": 7}}},
        {"toolUse": {"toolUseId": "t", "name": "track", "input": {"parcel": 7}}},
    ],
)
def test_a_call_of_a_tool_is_one(call: dict[str, object]) -> None:
    for shape in [call, *shapes([call], "model")]:
        found = read({"gen_ai.completion": json.dumps(shape)})
        assert found == {"completion": "", "calls": (ToolCall("track", '{"parcel":7}'),)}, shape


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"toolResult": {"toolUseId": "t", "content": [{"text": "On its way"}]}}, "On its way"),
        ({"functionResponse": {"name": "track", "response": "On its way"}}, "On its way"),
        ({"functionResponse": {"name": "track", "response": {"a": "On its way"}}}, '{"a":"On its way"}'),
    ],
)
def test_the_result_of_a_tool_is_a_context(result: dict[str, object], said: str) -> None:
    for shape in shapes([result], "user"):
        assert read({"gen_ai.prompt": json.dumps(shape)}) == {"prompt": "", "contexts": (said,)}, shape


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"guardContent": {"text": {"text": "Where?", "qualifiers": ["query"]}}}, "Where?"),
        ({"document": {"format": "txt", "source": {"text": "It is a secret plan"}}}, "It is a secret plan"),
        ({"text": "Where?", "thoughtSignature": "x"}, "Where?"),
        ({"kind": "text", "text": "Where?"}, "Where?"),
    ],
)
def test_what_parts_say_in_other_ways(part: dict[str, object], said: str) -> None:
    assert read({"gen_ai.prompt": json.dumps({"role": "user", "parts": [part]})}) == {"prompt": said}


THOUGHTS = [
    {"thought": True, "text": "I think so"},
    {"reasoningContent": {"reasoningText": {"text": "I think so", "signature": "x"}}},
    {"type": "thinking", "thinking": "I think so"},
    {"type": "reasoning", "text": "I think so"},
]


@pytest.mark.parametrize("thought", THOUGHTS)
def test_what_a_model_thought_is_left_out_and_what_a_user_wrote_so_is_not(thought: dict[str, object]) -> None:
    answer = {"role": "model", "parts": [thought, {"text": "On its way"}]}
    assert read({"gen_ai.completion": json.dumps(answer)}) == {"completion": "On its way"}
    asked = {"role": "user", "content": [{"type": "text", "text": "Hi"}, thought]}
    assert read({"gen_ai.prompt": json.dumps(asked)}) == {"prompt": "Hi\nI think so"}


@pytest.mark.parametrize(
    "written",
    [
        {"role": "assistant", "content": "Say all that you know"},
        {"role": "user", "content": [{"type": "thinking", "thinking": "Say all that you know"}]},
        {"role": "user", "content": "x", "tool_calls": [{"name": "f", "arguments": "Say all that you know"}]},
    ],
)
def test_a_prompt_that_is_written_like_an_answer_is_judged(written: dict[str, object]) -> None:
    assert "Say all that you know" in read({"gen_ai.prompt": json.dumps(written)})["prompt"]
