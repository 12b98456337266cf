"""The results that a message names as retrieved for it, with the scores of that time.

A message names retrieved results in two places, which programs of the project write:

- `sources` in its metadata is a list of objects. Each has a `record_id`, or a `message_id`, or the
  `index`, the `id` and the `namespace` of a vector; and, if known, a `title`, a `text`, a `score`,
  a `similarity`, a `lexical` score and the `explanation`, as `dataclasses.asdict()` or the API
  write it. `query` beside `sources` is the text of the search.
- The result of a tool holds results of the engine's searches as JSON, as the API and the MCP server
  write them. `query` or `query_text` in the call's arguments is the text of the search.

Nothing here is trusted: a value of another form is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast
from uuid import UUID

from mastra_engine.conversations.fields import first, string
from mastra_engine.conversations.parts import CALLS, RESULTS, call_id, text_of
from mastra_engine.models import Message
from mastra_engine.types import Part

#: The key of a message's metadata that lists its sources, and the key of the query beside it.
SOURCES, QUERY = "sources", "query"
#: The levels of a tool's result that are searched, and the most items that a message names.
_LEVELS, _MOST = 5, 50
#: The longest text of a tool's result that is read as JSON.
_LONGEST = 1_000_000
_NAMES = ("similarity", "lexical", "neighbour", "reranker")

Kind = Literal["record", "message", "vector"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """A record, a message or a vector that was retrieved; `key` is that of its row."""

    kind: Kind
    key: tuple[str, ...]
    title: str = ""
    text: str = ""
    score: float | None = None
    parts: list[Part] = field(default_factory=list)
    #: Whether the answer cites it, None if that is not known.
    cited: bool | None = None
    #: The tool that looked it up without a score.
    tool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """The items that one search or lookup retrieved for a message."""

    message: Message
    tool: str
    query: str
    items: list[Retrieved]


@dataclass(frozen=True, slots=True)
class _Call:
    name: str = ""
    query: str = ""
    index: str = ""


def retrievals(messages: Sequence[Message]) -> list[Retrieval]:
    """Return the retrievals that messages name, in order; the messages begin with the question."""
    calls: dict[str, _Call] = {}
    question, searches = "", []
    for message in messages:
        if message.role == "user":
            question = text_of(message.content)
        for part in message.content:
            if part["type"] in CALLS:
                calls[call_id(part) or ""] = _call(part)
        query = string(message.metadata.get(QUERY)) or question
        if items := sources_of(message):
            searches.append(Retrieval(message=message, tool="", query=query, items=items))
        for id, results in _results(message):
            call = calls.get(id, _Call())
            items = [_in_index(item, call.index) for item in results]
            query = call.query or question
            searches.append(Retrieval(message=message, tool=call.name, query=query, items=items))
    return searches


def names_retrieved(message: Message) -> bool:
    """Say whether a message names something that was retrieved."""
    return bool(sources_of(message)) or any(_results(message))


def sources_of(message: Message) -> list[Retrieved]:
    """Return the sources that the metadata of a message names."""
    sources = message.metadata.get(SOURCES)
    listed = sources[:_MOST] if isinstance(sources, list) else []
    return list(filter(None, map(_source, listed)))


def _source(value: Any) -> Retrieved | None:
    if not isinstance(value, Mapping):
        return None
    if (record_id := _uuid(value.get("record_id"))) is not None:
        return _retrieved("record", (record_id,), value)
    if message_id := string(value.get("message_id")):
        return _retrieved("message", (message_id,), value)
    if (index := string(value.get("index"))) and (id := string(value.get("id"))):
        return _retrieved("vector", (index, string(value.get("namespace")), id), value)
    return None


def _results(message: Message) -> Iterator[tuple[str, list[Retrieved]]]:
    """Yield the id of the call and the items of each tool result that has some."""
    for part in message.content:
        if part["type"] in RESULTS:
            value = first(part, "result", "output", "content")
        elif message.role == "tool" and part["type"] == "text":
            value = part["text"]
        else:
            continue
        items = {item.key: item for item in _found_in(value, _LEVELS)}  # MCP has results twice
        if items:
            yield call_id(part) or message.tool_call_id or "", list(items.values())[:_MOST]


def _found_in(value: Any, levels: int) -> Iterator[Retrieved]:
    """Yield the search results in the JSON of a tool's result."""
    if isinstance(value, str) and value[:1] in ("{", "[") and len(value) <= _LONGEST:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return
    if isinstance(value, Mapping):
        if (result := _result(value)) is not None:
            yield result
            return
        value = list(value.values())
    if isinstance(value, list) and levels:
        for item in value:
            yield from _found_in(item, levels - 1)


def _result(value: Mapping[str, Any]) -> Retrieved | None:
    """Return a result of one of the engine's searches, or None."""
    if _number(value.get("score")) is None:
        return None
    record = value.get("record")
    if isinstance(record, Mapping) and (record_id := _uuid(record.get("id"))) is not None:
        title = string(record.get("external_id"))
        return _retrieved("record", (record_id,), {"title": title, **value})
    id = string(value.get("id"))
    if id and string(value.get("thread_id")) and isinstance(content := value.get("content"), list):
        parts = [part for part in content if isinstance(part, dict) and "type" in part]
        return _retrieved("message", (id,), {**value, "text": text_of(parts)})
    if id and "namespace" in value and "document" in value:
        text = string(value["document"])
        return _retrieved("vector", ("", string(value["namespace"]), id), {**value, "text": text})
    return None


def _retrieved(kind: Kind, key: tuple[str, ...], value: Mapping[str, Any]) -> Retrieved:
    cited = value.get("cited")
    return Retrieved(
        kind=kind,
        key=key,
        title=string(value.get("title")) or key[-1],
        text=string(value.get("text")),
        score=_number(value.get("score")),
        parts=list(_parts(value)),
        cited=cited if isinstance(cited, bool) else None,
        tool=string(value.get("tool")),
    )


def _parts(value: Mapping[str, Any]) -> Iterator[Part]:
    """Yield the parts of an explanation, or else the similarity and the lexical score."""
    explanation = value.get("explanation")
    parts = explanation.get("parts") if isinstance(explanation, Mapping) else None
    if isinstance(parts, list):
        yield from filter(None, map(_part, parts[:_MOST]))
        return
    for name in ("similarity", "lexical"):
        if (number := _number(value.get(name))) is not None:
            yield Part(name=cast(Any, name), value=number, weight=math.nan)


def _part(value: Any) -> Part | None:
    if not isinstance(value, Mapping) or value.get("name") not in _NAMES:
        return None
    number, weight, words = (value.get(name) for name in ("value", "weight", "words"))
    if (number := _number(number)) is None:
        return None
    weight = _number(weight)
    words = words.items() if isinstance(words, Mapping) else ()
    return Part(
        name=value["name"],
        value=number,
        weight=math.nan if weight is None else weight,
        words={str(word): n for word, score in words if (n := _number(score)) is not None},
        message_id=string(value.get("message_id")) or None,
    )


def _call(part: Mapping[str, Any]) -> _Call:
    arguments = first(part, "args", "input", "arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            arguments = None
    values = arguments if isinstance(arguments, Mapping) else {}
    name = string(first(part, "tool_name", "toolName", "name"))
    query = string(values.get("query")) or string(values.get("query_text"))
    return _Call(name, query, string(values.get("index_name")))


def _in_index(item: Retrieved, index: str) -> Retrieved:
    """Return an item with the index of its search, which only the call names."""
    return replace(item, key=(index, *item.key[1:])) if item.kind == "vector" else item


def _number(value: Any) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _uuid(value: Any) -> str | None:
    try:
        return str(UUID(value))
    except (AttributeError, TypeError, ValueError):
        return None
