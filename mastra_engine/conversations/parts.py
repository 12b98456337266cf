"""The meaning of a message's parts, in every notation that is understood.

A part is an object with a `type`, stored unchanged. Where its meaning matters, for counting
tokens, for pairing tool calls with results and for the formats of model providers, parts are read
into a few values: text, media, thinking, tool calls and tool results. The notations of OpenAI
(Chat Completions and Responses), Anthropic, Vercel's AI SDK, Mastra and MCP are understood. Parts
that no provider could be sent are read as nothing, so they are neither sent nor counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from mastra_engine.conversations.fields import first, string
from mastra_engine.conversations.media import Media, media_of, media_within
from mastra_engine.types import ContentPart

#: The types of parts that are text, with the key of the text.
TEXTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
#: The types of parts that call a tool.
CALLS = ("tool-call", "tool_use", "tool_call", "function_call", "custom_tool_call")
#: The types of parts that hold the result of a tool call.
RESULTS = ("tool-result", "tool_result", "function_call_output", "custom_tool_call_output")
#: The types of parts that hold a call and, once there is one, its result. Vercel's AI SDK writes
#: `tool-<name>` as well.
INVOCATIONS = ("tool-invocation", "dynamic-tool")
#: The types of parts that hold a model's thinking.
THOUGHTS = ("reasoning", "thinking", "redacted_thinking", "redacted-reasoning")

#: Anthropic refuses a failed result without text.
FAILED_WITHOUT_TEXT = "The tool failed without a message."

_CALL_IDS = ("tool_call_id", "toolCallId", "tool_use_id", "call_id", "id")
_MCP_RESULT = {"content", "isError", "structuredContent", "_meta"}
_SDK_OUTPUTS = ("text", "json", "content", "error-text", "error-json", "execution-denied")
_SDK_ERRORS = ("error-text", "error-json", "execution-denied")


@dataclass(frozen=True, slots=True)
class Text:
    """Text that is not blank. `document` holds the fields of a text document of Anthropic's."""

    text: str
    citations: Any = None
    cache_control: Any = None
    document: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """Thinking that Anthropic accepts: with a `signature`, or `redacted` data alone."""

    text: str
    signature: str
    redacted: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call. `arguments` is JSON, or text as the model wrote it."""

    id: str
    name: str
    arguments: Any
    custom: bool = False
    cache_control: Any = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool call; that of a failed call holds text only."""

    call_id: str
    content: list[Text | Media]
    failed: bool
    cache_control: Any = None


Item = Text | Media | Thinking | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class MessageItem:
    """An item of a message, and the positions of the parts that it was read from."""

    item: Item
    positions: list[int] = field(default_factory=list)


def text_of(parts: Iterable[ContentPart]) -> str:
    """Return the text of a message's text parts, without surrounding white space."""
    texts = [part.get(TEXTS[part["type"]]) for part in parts if part["type"] in TEXTS]
    return "\n".join(text for text in texts if isinstance(text, str)).strip()


def call_id(part: Mapping[str, Any]) -> str | None:
    """Return the id of the tool call that a part makes or answers, or None if it has none."""
    id = first(part, *_CALL_IDS)
    return id if isinstance(id, str) and id else None


def uses_tools(role: str, parts: Iterable[ContentPart], tool_call_id: str | None) -> bool:
    """Return whether a message may hold a tool call or a result."""
    if role == "tool" or tool_call_id is not None:
        return True
    return any(
        part["type"] in CALLS or part["type"] in RESULTS or _is_invocation(part) for part in parts
    )


def read_message(
    role: str, parts: list[ContentPart], tool_call_id: str | None
) -> list[MessageItem]:
    """Read the parts of a message, in their order.

    A call or a result without an id takes the message's. All other content of a tool's message is
    its result. Media are the user's only, in messages and in results.
    """
    if role == "tool":
        return _read_tool_message(parts, tool_call_id)
    if len(parts) == 1 and _is_plain_text(parts[0]):  # Most messages are one text.
        return [MessageItem(Text(parts[0]["text"]), [0])]
    return [
        MessageItem(item, [position])
        for position, part in enumerate(parts)
        for item in _read_part(part, tool_call_id)
        if _is_shown(item, role)
    ]


def _is_plain_text(part: ContentPart) -> bool:
    return part["type"] == "text" and len(part) == 2 and bool(part["text"].strip())


def _is_shown(item: Item, role: str) -> bool:
    if isinstance(item, Media):
        return role == "user"
    return role == "assistant" or not isinstance(item, Thinking)


def _read_part(part: ContentPart, id: str | None) -> Iterator[Item]:
    type = part["type"]
    if type in CALLS:
        yield _call(part, id)
    elif type in RESULTS:
        yield _result(part, id)
    elif type in THOUGHTS:
        yield from _thinking(part)
    elif _is_invocation(part):
        yield from _invocation(part)
    else:
        yield from _content(part)


# Text and media


def _content(part: Mapping[str, Any]) -> Iterator[Text | Media]:
    """Yield the text or the media of a part."""
    text = _text(part)
    if text is not None:
        if text.text.strip():
            yield text
        return
    media = media_of(part)
    if media is not None and media.has_content:
        yield media


def _text(part: Mapping[str, Any]) -> Text | None:
    """Return the text of a text part, a text document or a text resource, or None."""
    type, source, document = part.get("type"), part.get("source"), None
    text = part.get(TEXTS[type]) if isinstance(type, str) and type in TEXTS else None
    if isinstance(source, dict) and source.get("type") == "text":
        text = source.get("data")
        if source.get("media_type") == "text/plain":
            document = {key: part[key] for key in ("title", "context", "citations") if key in part}
    elif isinstance(source, dict) and source.get("type") == "content":
        text = _joined(source.get("content"))
    elif type == "resource" and isinstance(part.get("resource"), dict):
        text = part["resource"].get("text")
    elif type == "audio" and "transcript" in part:
        text = part["transcript"]
    if not isinstance(text, str):
        return None
    return Text(text, part.get("citations"), _cache_control(part), document)


def _joined(content: Any) -> str | None:
    """Return the text of Anthropic's content documents: text, or a list of text blocks."""
    if isinstance(content, list):
        texts = [block.get("text") for block in content if isinstance(block, dict)]
        return "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else None


def _provider_options(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the fields that the AI SDK writes below a provider's name, where Claude runs."""
    for key in ("providerOptions", "providerMetadata", "experimental_providerMetadata"):
        options = part.get(key)
        for provider in ("anthropic", "bedrock", "vertex"):
            if isinstance(options, dict) and isinstance(options.get(provider), dict):
                yield options[provider]


def _cache_control(part: Mapping[str, Any]) -> Any:
    if "cache_control" in part:
        return part["cache_control"]
    for options in _provider_options(part):
        if (control := first(options, "cacheControl", "cache_control")) is not None:
            return control
    return None


# Thinking


def _thinking(part: Mapping[str, Any]) -> Iterator[Thinking]:
    """Yield the thinking that Anthropic accepts; unsigned thinking is never sent."""
    details = part.get("details")
    if isinstance(details, list):  # Mastra and the AI SDK before version 5
        for detail in details:
            if isinstance(detail, dict):
                yield from _thinking({key: detail[key] for key in detail if key != "details"})
        return
    sources = [part, *_provider_options(part)]
    if redacted := _redacted_data(part, sources):
        yield Thinking("", "", redacted)
        return
    text = first(part, "thinking", "text", "reasoning")
    signature = next((source["signature"] for source in sources if source.get("signature")), None)
    if isinstance(text, str) and isinstance(signature, str):
        yield Thinking(text, signature)


def _redacted_data(part: Mapping[str, Any], sources: list[Mapping[str, Any]]) -> str:
    if part.get("type") in ("redacted_thinking", "redacted-reasoning", "redacted"):
        return string(part.get("data"))
    data = (string(first(source, "redactedData", "redacted_data")) for source in sources)
    return next(filter(None, data), "")


# Tool calls


def _call(part: Mapping[str, Any], id: str | None) -> ToolCall:
    function = part.get("function")
    fields = {**part, **function} if isinstance(function, dict) else part
    name = first(fields, "tool_name", "toolName", "name")
    # The text that the model wrote is kept beside the parsed arguments where these differ.
    written = fields.get("arguments")
    arguments = written if isinstance(written, str) else first(fields, "args", "input", "arguments")
    return ToolCall(
        id=call_id(part) or id or "",
        name=name if isinstance(name, str) else "",
        arguments=arguments,
        custom=part["type"] == "custom_tool_call",
        cache_control=_cache_control(part),
    )


def arguments_text(call: ToolCall) -> str:
    """Return the arguments of a call as text: as written, or as compact JSON."""
    if isinstance(call.arguments, str):
        return call.arguments if call.arguments.strip() or call.custom else "{}"
    return _json({} if call.arguments is None else call.arguments)


def _json(value: Any) -> str:
    """Return compact JSON with sorted keys, since the stores do not keep the order of keys."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


# Tool results


def _result(part: Mapping[str, Any], id: str | None) -> ToolResult:
    # An empty list of content blocks is no content. As an output of another kind it is JSON.
    output = first(part, "result", "output", "content")
    if output == [] and part.get("content") == []:
        output = None
    failed = first(part, "is_error", "isError") is True
    return _tool_result(call_id(part) or id or "", output, failed, _cache_control(part))


def _tool_result(id: str, output: Any, failed: bool, cache_control: Any = None) -> ToolResult:
    """Return a result with the content of an output, unwrapped from the AI SDK's or MCP's form."""
    is_content = False
    if _is_sdk_output(output):
        failed = failed or output["type"] in _SDK_ERRORS
        is_content = output["type"] == "content"
        output = first(output, "value", "reason")
    elif _is_mcp_result(output):
        failed = failed or output.get("isError") is True
        output = output["content"] or output.get("structuredContent")
    content = _output(output, is_content)
    if failed:
        texts = [item for item in content if isinstance(item, Text)]
        content = [*(texts or [Text(FAILED_WITHOUT_TEXT)])]
    return ToolResult(id, content, failed, cache_control)


def _is_sdk_output(output: Any) -> bool:
    if not isinstance(output, dict) or output.get("type") not in _SDK_OUTPUTS:
        return False
    return "value" in output or output["type"] == "execution-denied"


def _is_mcp_result(output: Any) -> bool:
    if not isinstance(output, dict) or not isinstance(output.get("content"), list):
        return False
    return output.keys() <= _MCP_RESULT and all(map(_is_content, output["content"]))


def _output(output: Any, is_content: bool = False) -> list[Text | Media]:
    """Return the output of a tool as text and media.

    Other JSON becomes text, without the media in it: they follow the text.
    """
    if output is None:
        return []
    if isinstance(output, str):
        return [Text(output)] if output.strip() else []
    if isinstance(output, list) and output and (is_content or all(map(_is_content, output))):
        parts = [part for part in output if isinstance(part, dict)]
        return [item for part in parts for item in _content(part)]
    bare, media = _without_media(output)
    return [Text(_json(bare)), *media]


def _is_content(value: Any) -> bool:
    return isinstance(value, dict) and (_text(value) is not None or media_within(value) is not None)


def _without_media(value: Any) -> tuple[Any, list[Media]]:
    """Return JSON with a mark for each image and file, such as a screenshot, and these."""
    if isinstance(value, dict):
        media = media_within(value)
        if media is not None:
            return f"[{media.label}]", [media]
        members = {key: _without_media(member) for key, member in value.items()}
        return (
            {key: bare for key, (bare, _) in members.items()},
            [media for _, inner in members.values() for media in inner],
        )
    if isinstance(value, list):
        items = [_without_media(item) for item in value]
        return [bare for bare, _ in items], [media for _, inner in items for media in inner]
    return value, []


def _read_tool_message(parts: list[ContentPart], id: str | None) -> list[MessageItem]:
    """Read the results in a tool's message; its other content belongs to the call it names."""
    items: list[MessageItem] = []
    rest: list[int] = []
    for position, part in enumerate(parts):
        if part["type"] in CALLS or part["type"] in RESULTS or _is_invocation(part):
            items += [MessageItem(item, [position]) for item in _read_part(part, id)]
        else:
            rest.append(position)
    results = [i for i in items if isinstance(i.item, ToolResult)]
    own = next((i for i in results if _result_id(i) == (id or "")), None)
    if not rest and (results or id is None):
        return items
    content = _output([parts[position] for position in rest]) if rest else []
    if own is None:
        return [*items, MessageItem(ToolResult(id or "", content, failed=False), rest)]
    return [_extended(i, content, rest) if i is own else i for i in items]


def _result_id(item: MessageItem) -> str | None:
    return item.item.call_id if isinstance(item.item, ToolResult) else None


def _extended(item: MessageItem, content: list[Text | Media], rest: list[int]) -> MessageItem:
    result = item.item
    assert isinstance(result, ToolResult)
    if result.failed:
        content = [extra for extra in content if isinstance(extra, Text)]
    extended = ToolResult(
        result.call_id, [*result.content, *content], result.failed, result.cache_control
    )
    return MessageItem(extended, [*item.positions, *rest])


# Invocations


def _is_invocation(part: Mapping[str, Any]) -> bool:
    type = part["type"]
    if type in INVOCATIONS:
        return True
    has_tool_name = type.startswith("tool-") and type not in CALLS and type not in RESULTS
    return has_tool_name and isinstance(part.get("toolCallId"), str) and "state" in part


def _invocation(part: Mapping[str, Any]) -> Iterator[Item]:
    """Yield the call of the AI SDK's invocation, and its result once the tool has finished."""
    inner = part.get("toolInvocation")
    fields = {**part, **inner} if isinstance(inner, dict) else part
    name = first(fields, "toolName", "tool_name")
    if not isinstance(name, str):
        name = part["type"].removeprefix("tool-") if part["type"] not in INVOCATIONS else ""
    id = call_id(fields) or ""
    arguments = first(fields, "args", "input", "rawInput")
    yield ToolCall(id, name, arguments, cache_control=_cache_control(part))
    error = fields.get("errorText")
    if fields.get("state") == "output-error" or isinstance(error, str):
        yield _tool_result(id, error, failed=True)
    elif fields.get("state") == "output-denied":
        yield _tool_result(id, "The user denied this call.", failed=True)
    elif "result" in fields or "output" in fields:
        yield _tool_result(id, first(fields, "result", "output"), failed=False)
