"""Random conversations in every notation that is accepted, with their expected tool exchanges."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from mastra_engine.conversations.media import MEDIA
from mastra_engine.conversations.parts import CALLS, INVOCATIONS, RESULTS, THOUGHTS
from tests.property.strategies import DOCUMENTS

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 3_000).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + b"\1" * 500).decode()
PDF = base64.b64encode(b"%PDF-1.4\n" + b"x" * 900).decode()
WEB = "https://example.com/a.png"

TEXTS = st.sampled_from(["Hi", "", " \n", "Well.  ", "é\n😀", "a longer text, " * 20])
MEDIA_PARTS = st.sampled_from(
    [
        {"type": "image", "image": PNG},
        {"type": "image", "image": f"data:image/png;base64,{PNG}"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": JPEG}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/svg+xml", "data": "PHN2"},
        },
        {"type": "image", "image": "/media/cat.png"},
        {"type": "image", "image": "no Base64!", "mediaType": "image/png"},
        {"type": "image", "image": f"{PNG[:76]}\n{PNG[76:]}"},
        {"type": "image_url", "image_url": {"url": WEB, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "http://example.com/a.png"}},
        {"type": "input_image", "image_url": f"data:image/jpeg;base64,{JPEG}"},
        {"type": "file", "data": PDF, "mediaType": "application/pdf", "filename": "a.pdf"},
        {
            "type": "input_file",
            "filename": "b.pdf",
            "file_data": f"data:application/pdf;base64,{PDF}",
        },
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "data": "AAAA", "mediaType": "text/csv"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {
            "type": "document",
            "title": "T",
            "source": {"type": "text", "media_type": "text/plain", "data": "Once " * 50},
            "citations": {"enabled": True},
        },
        {
            "type": "document",
            "context": "From the archive.",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
        },
    ]
)
CACHED = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}, "wrong"])
CITATION = {
    "type": "char_location",
    "cited_text": "Once",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 4,
    "file_id": None,
}
#: A citation without some of its keys: responses may lack those that are optional.
CITATIONS = st.sets(st.sampled_from(sorted(CITATION))).map(
    lambda keys: {key: CITATION[key] for key in CITATION if key not in keys}
)
STATEMENTS = st.one_of(
    TEXTS.map(lambda text: {"type": "text", "text": text}),
    TEXTS.map(lambda text: {"type": "input_text", "text": text}),
    TEXTS.map(lambda text: {"type": "output_text", "text": text, "annotations": []}),
    TEXTS.map(lambda text: {"type": "refusal", "refusal": text}),
    st.builds(
        lambda text, citation: {
            "type": "text",
            "text": text,
            "citations": [citation, {"type": []}],
        },
        TEXTS,
        CITATIONS,
    ),
    st.builds(lambda text, c: {"type": "text", "text": text, "cache_control": c}, TEXTS, CACHED),
)
SIGNED = {"anthropic": {"signature": "signed"}}
THINKING = st.sampled_from(
    [
        {"type": "thinking", "thinking": "Hm.", "signature": "signed"},
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "redacted_thinking", "data": "hidden"},
        {"type": "reasoning", "text": "Hm."},
        {"type": "reasoning", "text": "Hm.", "providerOptions": SIGNED},
        {"type": "reasoning", "text": "Hm.", "providerMetadata": SIGNED},
        {"type": "reasoning", "reasoning": "Hm.", "details": [{"type": "redacted", "data": "x"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
    ]
)
#: Parts of a known type with any content, which no notation has.
NOISE = st.builds(
    lambda type, document: {**document, "type": type},
    st.sampled_from(["own", "tool-x", *CALLS, *RESULTS, *INVOCATIONS, *THOUGHTS, *MEDIA]),
    DOCUMENTS,
)


@dataclass(slots=True)
class Call:
    """A tool call; `number` is in its arguments and in its output, if there is one."""

    number: int
    id: str
    name: str
    arguments: str
    output: Any = None
    failed: bool = False
    is_answered: bool = False
    call_message: int = -1
    result_message: int = -1


@dataclass(slots=True)
class Conversation:
    """Messages as they are saved, and the calls in them."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    has_noise: bool = False


#: Ids of the providers, by the number of the call and its position in the turn.
ID_SCHEMES: list[Callable[[int, int], str]] = [
    lambda number, position: f"call_{number:024}",
    lambda number, position: f"toolu_01{number:022}",
    lambda number, position: f"call_{position}",
    lambda number, position: f"functions.f:{position}",
    lambda number, position: f"functions_f_{position}",
    lambda number, position: "x" * 70 + str(number),
    lambda number, position: "y" * 70 + str(position),
    lambda number, position: f"é 🙂 {position}",
    lambda number, position: "same",
    lambda number, position: "",
]
REPEATING = ID_SCHEMES[-2:]
NAMES = st.sampled_from(["f", "github.search", "a tool with spaces", "n" * 100])
ARGUMENTS: list[Callable[[int], str]] = [
    lambda n: json.dumps({"n": n}),
    lambda n: f'{{"n":{n},"wei":12345678901234567890123}}',
    lambda n: f'{{"z":{n},"a":{{"c":1.10,"b":1e2}}}}',
    lambda n: f'"{n}"',
    lambda n: f'{{"n": {n}',
    lambda n: f"[{n}]",
    lambda n: f'{{"n":{n},"image":{{"type":"image","source":{{"data":"{PNG[:400]}"}}}}}}',
]


def output(number: int, kind: str) -> tuple[Any, bool]:
    """Return the output of a tool, with its number, and whether it failed."""
    text = f"answer-{number}-"
    image = {"type": "image", "data": PNG, "mimeType": "image/png"}
    return {
        "text": (text, False),
        "object": ({"z": text, "a": [1, None, 2.5]}, False),
        "blocks": ([{"type": "text", "text": text}, image], False),
        "image": ([image], False),
        "mixed": ([{"a": text}, image], False),
        "object with image": ({"shot": image, "text": text}, False),
        "mcp": ({"content": [{"type": "text", "text": text}, image], "isError": False}, False),
        "mcp error": ({"content": [image], "isError": True}, True),
        "audio": ([{"type": "audio", "data": "AAAA", "mimeType": "audio/ogg"}], False),
        "files": ([{"type": "file", "path": text}], False),
        "empty": ("", False),
        "none": (None, False),
        "error": (text, True),
        "empty error": ("", True),
        "image error": ([image], True),
    }[kind]


KINDS = [
    *("text", "object", "blocks", "image", "mixed", "object with image", "mcp", "mcp error"),
    *("audio", "files", "empty", "none", "error", "empty error", "image error"),
]


# Notations: each returns the message of the calls, and one message for each result.


def _text_output(call: Call) -> str:
    return call.output if isinstance(call.output, str) else json.dumps(call.output)


def openai_chat(calls: list[Call], before: list[Any]) -> tuple[list[Any], Callable[[Call], Any]]:
    message = {
        "role": "assistant",
        "content": "\n".join(part["text"] for part in before if part["type"] == "text") or None,
        "refusal": None,
        "annotations": [],
        "reasoning_content": "Hm." if before else None,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ],
    }
    return [message], lambda call: {
        "role": "tool",
        "tool_call_id": call.id,
        "content": _text_output(call) if call.output is not None else "",
    }


def openai_custom(calls: list[Call], before: list[Any]) -> tuple[list[Any], Callable[[Call], Any]]:
    """Write the calls of custom tools, whose input is any text."""
    (message,), result = openai_chat(calls, before)
    tools = [
        {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
        for call in calls
    ]
    return [{**message, "tool_calls": tools}], result


def openai_responses(
    calls: list[Call], before: list[Any]
) -> tuple[list[Any], Callable[[Call], Any]]:
    items = [
        {
            "type": "function_call",
            "id": f"fc_{call.number}",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "status": "completed",
        }
        for call in calls
    ]
    return [{"role": "assistant", "content": [*before, *items]}], lambda call: {
        "type": "function_call_output",
        "call_id": call.id,
        "output": _text_output(call) if call.output is not None else "",
    }


def openai_items(calls: list[Call], before: list[Any]) -> tuple[list[Any], Callable[[Call], Any]]:
    """Write each call as a message of its own, as the items of a response are."""
    (message,), result = openai_responses(calls, [])
    statements = [{"role": "assistant", "content": before}] if before else []
    return [*statements, *message["content"]], result


def anthropic(calls: list[Call], before: list[Any]) -> tuple[list[Any], Callable[[Call], Any]]:
    blocks = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _object(call)}
        for call in calls
    ]

    def result(call: Call) -> Any:
        content = call.output
        if not isinstance(content, str | list | None):
            content = json.dumps(content)
        block = {"type": "tool_result", "tool_use_id": call.id, "content": content}
        return {"role": "user", "content": [{**block, "is_error": call.failed}]}

    return [{"role": "assistant", "content": [*before, *blocks]}], result


def ai_sdk(calls: list[Call], before: list[Any]) -> tuple[list[Any], Callable[[Call], Any]]:
    parts = [
        {"type": "tool-call", "toolCallId": call.id, "toolName": call.name, "input": _object(call)}
        for call in calls
    ]

    def result(call: Call) -> Any:
        type = "error-json" if call.failed else "json"
        part = {"type": "tool-result", "toolCallId": call.id, "toolName": call.name}
        wrapped = {**part, "output": {"type": type, "value": call.output}}
        return {"role": "tool", "content": [wrapped]}

    return [{"role": "assistant", "content": [*before, *parts]}], result


def mastra(calls: list[Call], before: list[Any]) -> tuple[list[Any], Callable[[Call], Any] | None]:
    parts = [_invocation(call) for call in calls]
    content = {"format": 2, "parts": [{"type": "step-start"}, *before, *parts]}
    return [{"role": "assistant", "content": content}], None


def ui(calls: list[Call], before: list[Any]) -> tuple[list[Any], Callable[[Call], Any] | None]:
    parts: list[Any] = []
    for call in calls:
        part = {"type": f"tool-{call.name}", "toolCallId": call.id, "input": _object(call)}
        if not call.is_answered:
            parts.append({**part, "state": "input-available"})
        elif call.failed:
            parts.append({**part, "state": "output-error", "errorText": _text_output(call)})
        else:
            parts.append({**part, "state": "output-available", "output": call.output})
    return [{"role": "assistant", "parts": [{"type": "step-start"}, *before, *parts]}], None


def _invocation(call: Call) -> Any:
    inner = {"toolCallId": call.id, "toolName": call.name, "args": _object(call)}
    if call.is_answered:
        return {
            "type": "tool-invocation",
            "toolInvocation": {**inner, "state": "result", "result": call.output},
        }
    return {"type": "tool-invocation", "toolInvocation": {**inner, "state": "call"}}


def _object(call: Call) -> Any:
    return {"n": call.number}


NOTATIONS = [
    openai_chat,
    openai_custom,
    openai_responses,
    openai_items,
    anthropic,
    ai_sdk,
    mastra,
    ui,
]
#: The notations whose parts hold a call and its result.
WITH_RESULTS = [mastra, ui]


@st.composite
def conversations(draw: st.DrawFn, *, max_turns: int = 6) -> Conversation:
    """Draw a conversation: statements, and exchanges in any notation, interrupted or not."""
    conversation = Conversation()
    for _ in range(draw(st.integers(1, max_turns))):
        kind = draw(st.sampled_from(["statement", "exchange", "exchange", "noise"]))
        if kind == "exchange":
            _add_exchange(conversation, draw)
        elif kind == "noise":
            conversation.has_noise = True
            role = draw(st.sampled_from(["system", "user", "assistant", "tool"]))
            content = draw(st.lists(NOISE | STATEMENTS | THINKING | MEDIA_PARTS, max_size=4))
            conversation.messages.append({"role": role, "content": content})
        else:
            conversation.messages.append(draw(_statement()))
    return conversation


def _statement() -> st.SearchStrategy[Any]:
    user = STATEMENTS | MEDIA_PARTS
    return st.one_of(
        st.builds(lambda c: {"role": "user", "content": c}, TEXTS | st.lists(user, max_size=3)),
        st.builds(
            lambda c: {"role": "assistant", "content": c},
            TEXTS | st.lists(STATEMENTS | THINKING, max_size=3),
        ),
        st.builds(
            lambda role, c: {"role": role, "content": c},
            st.sampled_from(["system", "developer"]),
            TEXTS,
        ),
    )


def _add_exchange(conversation: Conversation, draw: st.DrawFn) -> None:
    notation = draw(st.sampled_from(NOTATIONS))
    # Only the order in one message tells calls with the same id apart.
    schemes = ID_SCHEMES[:-2] if notation is openai_items else ID_SCHEMES
    scheme = draw(st.sampled_from(schemes))
    calls = []
    for position in range(draw(st.integers(1, 3))):
        number = 1_000 + len(conversation.calls) + position
        arguments = draw(st.sampled_from(ARGUMENTS))(number)
        call = Call(number, scheme(number, position), draw(NAMES), arguments)
        call.is_answered = draw(st.integers(0, 3)) > 0
        if call.is_answered:
            call.output, call.failed = output(number, draw(st.sampled_from(KINDS)))
        calls.append(call)
    by_order = scheme in REPEATING and notation not in WITH_RESULTS
    if by_order:  # Only their order tells the calls apart: the last are interrupted.
        calls.sort(key=lambda call: not call.is_answered)
    before = draw(st.lists(STATEMENTS | THINKING, max_size=2))
    messages, result = notation(calls, before)
    conversation.calls += calls
    first = len(conversation.messages)
    conversation.messages += messages
    for position, call in enumerate(calls):
        call.call_message = first
        if notation is openai_items:
            call.call_message = len(conversation.messages) - len(calls) + position
        if call.is_answered and result is None:
            call.result_message = first
    if result is None:
        return
    answers = [call for call in calls if call.is_answered]
    order = answers if by_order else draw(st.permutations(answers))
    for call in order:
        if draw(st.integers(0, 5)) == 0:
            conversation.messages.append(draw(_statement()))
        call.result_message = len(conversation.messages)
        conversation.messages.append(result(call))
