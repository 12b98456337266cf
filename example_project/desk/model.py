"""Answers by a language model: any server with OpenAI's protocol."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, cast

import orjson

from example_project.desk import tools
from example_project.desk.knowledge import title, without_footnotes

if TYPE_CHECKING:
    from openai import OpenAI

    from example_project.desk.turns import Turn

INSTRUCTIONS = """\
You work at a support desk. Answer from the numbered passages below and from what tools return, and
cite each source by its number in square brackets, like [2]. Say so when they do not answer the
question. Look tickets up by their number; do not guess what is in them. When the user tells
something about themselves that will matter later, keep it in working memory.
"""
#: What a model is shown at most, in tokens, and how often it may use tools before it must answer.
WINDOW, ROUNDS = 8_000, 5


class ModelFailed(Exception):
    """The language model did not answer."""


def name() -> str | None:
    """Return the model's name, or None while no server and key are configured."""
    if os.environ.get("OPENAI_BASE_URL") and os.environ.get("OPENAI_API_KEY"):
        return os.environ.get("OPENAI_MODEL", "gpt-4o-mini")
    return None


def answer(turn: Turn) -> Iterator[str]:
    """Yield the model's answer as it comes; raises ModelFailed."""
    from openai import OpenAI, OpenAIError

    turn.search()
    try:
        with OpenAI() as client:  # the address and the key are those of the environment
            for _ in range(ROUNDS):
                calls = yield from _round(client, turn)
                if not calls:
                    return
                turn.use(calls)
    except OpenAIError as error:
        raise ModelFailed(f"The language model failed: {type(error).__name__}") from error
    raise ModelFailed(f"The language model asked for tools {ROUNDS} times and gave no answer")


def _round(client: OpenAI, turn: Turn) -> Generator[str, None, list[tools.Call]]:
    """Yield what the model says, and return the tools that it asks for."""
    window = turn.memory.get_context_window(
        thread_id=turn.thread_id,
        max_tokens=WINDOW,
        format="openai",
        query=turn.question,
        scope="resource",
        system=_system(turn),
        working_memory=True,
    )
    chunks = client.chat.completions.create(
        model=name() or "",
        messages=window.messages,
        tools=cast(Any, tools.definitions(turn)),
        stream=True,
    )
    asked: dict[int, list[str]] = {}  # id, name and arguments, which come in pieces
    for choice in chain.from_iterable(chunk.choices for chunk in chunks):
        if choice.delta.content:
            yield choice.delta.content
        for part in choice.delta.tool_calls or []:
            before = asked.get(part.index, ["", "", ""])
            now = (part.id, part.function.name, part.function.arguments) if part.function else ()
            asked[part.index] = [text + (more or "") for text, more in zip_longest(before, now)]
    return [tools.Call(id, called, _arguments(text)) for id, called, text in asked.values()]


def _arguments(text: str) -> Any:
    """Return what a tool is called with; text that is no JSON, which no tool takes, as it is."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _system(turn: Turn) -> str:
    passages = [
        f"[{each.number}] {title(each.record)}\n{without_footnotes(each.text)}"
        for each in turn.passages
        if each.text
    ]
    return "\n\n".join([INSTRUCTIONS, *passages])
