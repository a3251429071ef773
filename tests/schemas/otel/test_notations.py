"""The notations of exporters, as they write them, in words of our own."""

import json

import pytest

from tests.schemas.otel.samples import ANSWER, CALL, IMAGE, TRACKED, USER, numbered, read


@pytest.mark.parametrize(
    "answer",
    [
        numbered(
            "gen_ai.completion.0.",
            role="assistant",
            tool_calls__0__name="track",
            tool_calls__0__arguments='{"parcel":7}',
        ),
        numbered("gen_ai.completion.0.tool_calls.0.function.", name="track", arguments='{"parcel":7}'),
        numbered("gen_ai.completion.0.function_call.", name="track", arguments='{"parcel":7}'),
        numbered(
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.",
            name="track",
            arguments='{"parcel":7}',
        ),
        numbered(
            "llm.output_messages.0.message.",
            function_call_name="track",
            function_call_arguments_json='{"parcel":7}',
        ),
        {
            "ai.response.toolCalls": json.dumps(
                [{"toolCallId": "1", "toolName": "track", "input": {"parcel": 7}}]
            )
        },
        {
            "ai.response.toolCalls": json.dumps([{"toolName": "track", "args": '{"parcel":7}'}]),
            "ai.response.text": "",
        },
        {"langfuse.observation.output": json.dumps(ANSWER | {"content": None, "tool_calls": [CALL]})},
        {"output.value": json.dumps({"choices": [{"message": {"role": "assistant", "tool_calls": [CALL]}}]})},
        {
            "output.value": json.dumps(
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "name": "track", "input": {"parcel": 7}}],
                }
            )
        },
        {
            "output.value": json.dumps(
                {
                    "object": "response",
                    "output": [
                        {"type": "reasoning", "summary": []},
                        {"type": "function_call", "name": "track", "arguments": '{"parcel":7}'},
                    ],
                }
            )
        },
        {
            "output.value": json.dumps(
                {
                    "candidates": [
                        {
                            "content": {
                                "role": "model",
                                "parts": [{"functionCall": {"name": "track", "args": {"parcel": 7}}}],
                            }
                        }
                    ]
                }
            )
        },
        {
            "output.value": json.dumps(
                {
                    "output": {
                        "message": {
                            "role": "assistant",
                            "content": [{"toolUse": {"name": "track", "input": {"parcel": 7}}}],
                        }
                    }
                }
            )
        },
    ],
)
def test_an_answer_of_a_tool_call_is_a_completion_without_a_text(answer: dict[str, object]) -> None:
    assert read({"gen_ai.prompt": "Where is my parcel?"} | answer) == TRACKED


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.contents.0.message_content.type": "text",
            "llm.input_messages.0.message.contents.0.message_content.text": "Where is my parcel?",
            "llm.input_messages.0.message.contents.1.message_content.type": "image",
            "llm.input_messages.0.message.contents.1.message_content.image.image.url": "https://example.com/a.png",
        },
        {"llm.input_messages.0.message.role": "user", "input.value": "Where is my parcel?"},
        {
            "gen_ai.input.messages": "[]",
            "gen_ai.prompt.0.role": "user",
            "llm.prompts": ["Where is my parcel?"],
        },
        {"gen_ai.prompt.0.content": json.dumps([{"type": "text", "text": "Where is my parcel?"}, IMAGE])},
        {
            "gen_ai.input.messages": json.dumps(
                [USER | {"content": [{"type": "input_text", "text": USER["content"]}, IMAGE]}]
            )
        },
        {"llm.prompts.0.prompt.text": "Where is my parcel?"},
        {
            "langfuse.observation.input": json.dumps(
                {"messages": [USER], "tools": [{"description": "Finds a parcel"}]}
            )
        },
        {"ai.prompt": json.dumps({"prompt": "Where is my parcel?"})},
        {"ai.prompt.messages": json.dumps([USER | {"content": [{"type": "text", "text": USER["content"]}]}])},
        {"input.value": json.dumps({"model": "m", "messages": [USER]})},
        {
            "input.value": json.dumps(
                {
                    "contents": [
                        {
                            "role": "user",
                            "parts": [{"text": USER["content"]}, {"inlineData": {"data": "a" * 99}}],
                        }
                    ]
                }
            )
        },
        {"mlflow.spanInputs": json.dumps({"messages": [USER]})},
        {"gen_ai.input.messages": [json.dumps(USER)]},
    ],
)
def test_a_prompt_in_every_notation(attributes: dict[str, object]) -> None:
    assert read(attributes) == {"prompt": "Where is my parcel?"}


@pytest.mark.parametrize(
    "answer",
    [
        {"id": "c", "object": "chat.completion", "choices": [{"index": 0, "message": ANSWER}]},
        {"object": "text_completion", "choices": [{"text": "On its way"}]},
        {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "Hm hm"}, {"type": "text", "text": "On its way"}],
        },
        {
            "object": "response",
            "instructions": "Be brief now",
            "output": [
                {"type": "reasoning"},
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "On its way"}],
                },
            ],
        },
        {
            "candidates": [
                {"content": {"parts": [{"text": "On its way"}], "role": "model"}, "finishReason": "STOP"}
            ]
        },
        {"model": "m", "message": ANSWER, "done": True},
        {
            "generations": [
                [{"text": "On its way", "message": {"kwargs": {"content": "On its way", "type": "ai"}}}]
            ]
        },
        {"output": {"message": {"role": "assistant", "content": [{"text": "On its way"}]}}},
        [{"type": "text", "text": "On its way"}],
        {"role": "assistant", "content": None, "refusal": "On its way"},
    ],
)
@pytest.mark.parametrize("name", ["output.value", "langfuse.observation.output", "gen_ai.completion"])
def test_raw_responses_of_model_apis(name: str, answer: object) -> None:
    assert read({name: json.dumps(answer)}) == {"completion": "On its way"}
