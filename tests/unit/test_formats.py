"""Windows match the types of the providers' clients, and the rules of their servers."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mastra_engine.conversations.formats import format_window
from tests.unit.clients import ANTHROPIC, OPENAI, assert_accepts, for_anthropic, for_openai, stored

PNG = "iVBORw0KGgoAAAANSUhEUg=="
PDF = "JVBERi0xLjQK"
WEB = "https://example.com/a.png"


def test_client_types_refuse_invalid_messages() -> None:
    with pytest.raises(ValidationError):
        assert_accepts(ANTHROPIC, {"role": "user", "content": [{"type": "text"}]})
    with pytest.raises(AssertionError):
        assert_accepts(
            ANTHROPIC, {"role": "user", "content": [{"type": "text", "text": "a", "b": 1}]}
        )
    with pytest.raises(ValidationError):
        assert_accepts(
            OPENAI, {"role": "assistant", "tool_calls": [{"id": "1", "type": "function"}]}
        )
    with pytest.raises(ValidationError):
        assert_accepts(OPENAI, {"role": "user", "content": [{"type": "image_url"}]})


# One exchange in three notations: a question, two parallel calls, and an answer.

QUESTION = {"role": "user", "content": "Oslo and Rome?"}
ANSWER = {"role": "assistant", "content": "Cold and warm."}
FROM_OPENAI = [
    QUESTION,
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {
                "id": id,
                "type": "function",
                "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'},
            }
            for id, city in [("c1", "Oslo"), ("c2", "Rome")]
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": '{"c":-3}'},
    {"role": "tool", "tool_call_id": "c2", "content": "sunny"},
    ANSWER,
]
FROM_ANTHROPIC = [
    QUESTION,
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
            {"type": "tool_use", "id": "c2", "name": "weather", "input": {"city": "Rome"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": '{"c":-3}'},
            {
                "type": "tool_result",
                "tool_use_id": "c2",
                "content": [{"type": "text", "text": "sunny"}],
            },
        ],
    },
    ANSWER,
]
FROM_VERCEL = [
    QUESTION,
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Let me look."},
            *(
                {"type": "tool-call", "toolCallId": id, "toolName": "weather", key: {"city": city}}
                for id, key, city in [("c1", "args", "Oslo"), ("c2", "input", "Rome")]
            ),
        ],
    },
    {
        "role": "tool",
        "content": [
            {
                "type": "tool-result",
                "toolCallId": "c1",
                "toolName": "weather",
                "output": {"type": "json", "value": {"c": -3}},
            },
            {"type": "tool-result", "toolCallId": "c2", "toolName": "weather", "result": "sunny"},
        ],
    },
    ANSWER,
]


@pytest.mark.parametrize("notation", [FROM_OPENAI, FROM_ANTHROPIC, FROM_VERCEL])
def test_every_notation_is_shown_in_every_format(notation: list[Any]) -> None:
    messages = stored(*notation)
    assert for_openai(messages) == FROM_OPENAI
    assert for_anthropic(messages) == [
        {"role": "user", "content": [{"type": "text", "text": "Oslo and Rome?"}]},
        FROM_ANTHROPIC[1],
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": id,
                    "content": [{"type": "text", "text": text}],
                }
                for id, text in [("c1", '{"c":-3}'), ("c2", "sunny")]
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Cold and warm."}]},
    ]


def test_raw_windows_hold_messages_and_sum_their_tokens() -> None:
    messages = stored(*FROM_OPENAI)
    for format in ("raw", "openai", "anthropic"):
        window = format_window(messages, format, truncated=True)
        assert window.tokens == sum(message.tokens for message in messages)
        assert window.truncated
    assert format_window(messages, "raw", truncated=False).messages == messages
    assert format_window([], "anthropic", truncated=False).messages == []


def test_only_anthropic_takes_system_messages_apart() -> None:
    messages = stored(
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Well?"},
    )
    window = format_window(messages, "anthropic", truncated=False)
    assert window.system == "Be kind.\n\nBe brief."
    assert [block["text"] for block in for_anthropic(messages)[0]["content"]] == ["Hi", "Well?"]
    assert [item["role"] for item in for_openai(messages)] == ["system", "user", "system", "user"]
    assert format_window(messages, "openai", truncated=False).system is None


def test_anthropic_windows_that_begin_with_the_assistant_are_complete() -> None:
    window = for_anthropic(stored(*FROM_OPENAI[1:]))
    assert window[0] == {"role": "user", "content": [{"type": "text", "text": "(…)"}]}
    assert window[1:] == for_anthropic(stored(*FROM_OPENAI))[1:]
    window[0]["content"].clear()
    assert for_anthropic(stored(ANSWER))[0]["content"], "windows share no state"


def test_results_follow_their_calls_past_other_messages() -> None:
    question, calls, first, second, answer = FROM_OPENAI
    hurry = {"role": "user", "content": "Hurry!"}
    messages = stored(question, calls, first, hurry, second, answer)
    assert for_openai(messages) == for_openai(stored(question, calls, first, second, hurry, answer))
    blocks = for_anthropic(messages)[2]["content"]
    assert [block["type"] for block in blocks] == ["tool_result", "tool_result", "text"]


def test_one_message_may_hold_calls_results_and_text() -> None:
    call = {"type": "tool-call", "toolCallId": "c", "toolName": "roll", "input": {}}
    result = {"type": "tool-result", "toolCallId": "c", "output": {"type": "text", "value": "6"}}
    text = {"type": "text", "text": "A six."}
    messages = stored({"role": "assistant", "content": [call, result, text]})
    assert [item["role"] for item in for_openai(messages)] == ["assistant", "tool", "assistant"]
    assert [item["role"] for item in for_anthropic(messages)][1:] == [
        *("assistant", "user", "assistant"),
    ]


def test_reused_ids_and_second_results() -> None:
    def exchange(city: str) -> list[Any]:
        call = {"type": "tool-call", "tool_call_id": "0", "tool_name": "go", "args": {"to": city}}
        return [
            {"role": "assistant", "content": [call]},
            {"role": "tool", "tool_call_id": "0", "content": city},
        ]

    messages = stored(*exchange("Oslo"), *exchange("Rome"), exchange("Bonn")[1])
    assert [item["content"] for item in for_openai(messages) if item["role"] == "tool"] == [
        *("Oslo", "Rome"),
    ]
    for_anthropic(messages)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"result": {"a": [1, None]}}, '{"a":[1,null]}'),
        ({"result": [{"type": "file", "path": "a.txt"}]}, '[{"path":"a.txt","type":"file"}]'),
        ({"result": []}, "[]"),
        ({"content": []}, ""),
        ({"content": [], "is_error": True, "failed": True}, "The tool failed without a message."),
        ({"result": None}, ""),
        ({}, ""),
        ({"output": {"type": "error-text", "value": "No."}, "failed": True}, "No."),
        ({"content": "No.", "is_error": True, "failed": True}, "No."),
        ({"output": {"type": "text", "value": "No."}, "isError": True, "failed": True}, "No."),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb"),
    ],
)
def test_results_that_are_not_text_become_json(result: dict[str, Any], text: str) -> None:
    failed = result.pop("failed", False)
    part = {"type": "tool-result", **result}
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    messages = stored(
        {"role": "assistant", "content": [call]},
        {"role": "tool", "tool_call_id": "c", "content": [part]},
    )
    assert for_openai(messages)[1]["content"] == text
    block = for_anthropic(messages)[2]["content"][0]
    assert "\n".join(item["text"] for item in block.get("content", [])) == text
    assert block.get("is_error", False) == failed


@pytest.mark.parametrize(
    ("arguments", "openai_text", "anthropic_input"),
    [
        ('{"a": 1}', '{"a":1}', {"a": 1}),
        ("", "{}", {}),
        ('{"a": ', '{"a": ', {"arguments": '{"a": '}),
        ("[1]", "[1]", {"arguments": [1]}),
        (None, "{}", {}),
    ],
)
def test_arguments_that_are_not_json_are_preserved(
    arguments: Any, openai_text: str, anthropic_input: Any
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = stored({"role": "assistant", "tool_calls": [call]})
    assert for_openai(messages)[0]["tool_calls"][0]["function"]["arguments"] == openai_text
    assert for_openai(messages)[0]["content"] is None
    assert for_anthropic(messages)[1]["content"][0]["input"] == anthropic_input


BASE64 = {"type": "base64", "media_type": "image/png", "data": PNG}
DATA_URL = f"data:image/png;base64,{PNG}"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": PNG, "mediaType": "image/png"},
        {"type": "image", "image": PNG},
        {"type": "image", "image": DATA_URL},
        {"type": "image", "data": PNG, "mimeType": "image/png"},
        {"type": "image", "data": PNG, "mime_type": "image/*"},
        {"type": "file", "data": PNG, "mediaType": "image/png"},
        {"type": "image", "source": BASE64},
        {"type": "image_url", "image_url": {"url": DATA_URL}},
    ],
)
def test_images_in_every_notation(part: dict[str, Any]) -> None:
    messages = stored({"role": "user", "content": [{"type": "text", "text": "?"}, part]})
    text = {"type": "text", "text": "?"}
    image = {"type": "image_url", "image_url": {"url": DATA_URL}}
    assert for_openai(messages) == [{"role": "user", "content": [text, image]}]
    image = {"type": "image", "source": BASE64}
    assert for_anthropic(messages) == [{"role": "user", "content": [text, image]}]


@pytest.mark.parametrize(
    ("part", "at_openai", "at_anthropic"),
    [
        (
            {"type": "image_url", "image_url": {"url": WEB, "detail": "low"}},
            {"type": "image_url", "image_url": {"url": WEB, "detail": "low"}},
            {"type": "image", "source": {"type": "url", "url": WEB}},
        ),
        (
            {"type": "file", "data": PDF, "mediaType": "application/pdf", "filename": "a.pdf"},
            {
                "type": "file",
                "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"},
            },
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            },
        ),
        (
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "document", "source": {"type": "file", "file_id": "file-1"}},
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
            None,
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        ),
        (
            {"type": "document", "source": {"type": "text", "data": "Once"}},
            {"type": "text", "text": "Once"},
            {"type": "text", "text": "Once"},
        ),
        ({"type": "image", "image": "PHN2Zz4=", "mediaType": "image/svg+xml"}, None, None),
        ({"type": "image", "image": "gs://bucket/a.png"}, None, None),
        ({"type": "image", "image": {"width": 3}}, None, None),
        ({"type": "text", "text": " \n"}, None, None),
        ({"type": "place", "at": [59.9, 10.7]}, None, None),
    ],
)
def test_parts_that_a_provider_does_not_support_are_left_out(
    part: dict[str, Any], at_openai: Any, at_anthropic: Any
) -> None:
    messages = stored({"role": "user", "content": [{"type": "image", "url": WEB}, part]})
    image = {"type": "image_url", "image_url": {"url": WEB}}
    assert for_openai(messages)[0]["content"] == [image, *filter(None, [at_openai])]
    image = {"type": "image", "source": {"type": "url", "url": WEB}}
    assert for_anthropic(messages)[0]["content"] == [image, *filter(None, [at_anthropic])]


def test_results_may_be_empty() -> None:
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    silent = {"role": "tool", "tool_call_id": "c", "content": []}
    messages = stored({"role": "assistant", "content": [call]}, silent)
    assert for_openai(messages)[1] == {"role": "tool", "tool_call_id": "c", "content": ""}
    assert for_anthropic(messages)[2]["content"] == [{"type": "tool_result", "tool_use_id": "c"}]


def test_messages_without_remaining_content_are_left_out() -> None:
    messages = stored(
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
        {"role": "tool", "tool_call_id": "c", "content": "of what only an assistant can call"},
        {"role": "assistant", "content": [{"type": "image", "url": WEB}]},
        {"role": "assistant", "content": [{"type": "reasoning", "text": "Hm."}]},
        {"role": "system", "content": " "},
        {"role": "tool", "content": "of no call"},
        {"role": "tool", "tool_call_id": "unknown", "content": "of no call here"},
    )
    assert for_openai(messages) == for_anthropic(messages) == []
    assert format_window(messages, "anthropic", truncated=False).system == ""


def test_only_signed_thinking_is_sent() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    hidden = {"type": "redacted_thinking", "data": "x"}
    signed = {"type": "reasoning", "text": "Hm.", "signature": "s"}
    text = {"type": "text", "text": "Yes."}
    parts = [thinking, hidden, signed, {"type": "reasoning", "text": "Hm."}, text]
    messages = stored({"role": "assistant", "content": parts})
    assert for_anthropic(messages)[1]["content"] == [thinking, hidden, thinking, text]
    assert for_openai(messages) == [{"role": "assistant", "content": "Yes."}]


def test_calls_without_an_id_take_the_id_of_their_message() -> None:
    call = {"type": "tool-call", "name": "add", "args": {"a": 1}}
    messages = stored(
        {"role": "assistant", "tool_call_id": "c", "content": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "3"},
    )
    call_message, result_message = for_openai(messages)
    assert (call_message["tool_calls"][0]["id"], result_message["tool_call_id"]) == ("c", "c")


def test_screenshots_in_results_are_images_for_anthropic() -> None:
    result = {
        "type": "tool_result",
        "tool_use_id": "c",
        "content": [{"type": "text", "text": "Done"}, {"type": "image", "source": BASE64}],
    }
    call = {"type": "tool_use", "id": "c", "name": "click", "input": {}}
    messages = stored(
        {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}
    )
    assert for_anthropic(messages)[2]["content"] == [result]
    assert for_openai(messages)[1] == {"role": "tool", "tool_call_id": "c", "content": "Done"}
