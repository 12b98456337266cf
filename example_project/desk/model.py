"""Answers by a language model, on any server that speaks OpenAI's protocol."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, cast

import orjson

from example_project.desk import tools
from example_project.desk.knowledge import title, without_footnotes
from example_project.desk.turns import Turn

if TYPE_CHECKING:
    from openai import OpenAI

INSTRUCTIONS = """\
You work at a support desk. Answer from the numbered sources below and from what tools return, and
cite each source by its number in square brackets, like [2]. Say so when they do not answer the
question. Look tickets up by their number; do not guess what is in them. When the user tells
something about themselves that will matter later, keep it in working memory.
"""
#: The budget of the context window in tokens, and the largest number of rounds of tool calls.
WINDOW, ROUNDS = 8_000, 5


class ModelFailed(Exception):
    """The language model did not answer."""


def name() -> str | None:
    """Return the model's name, or None unless a server and a key are configured."""
    if os.environ.get("OPENAI_BASE_URL") and os.environ.get("OPENAI_API_KEY"):
        return os.environ.get("OPENAI_MODEL", "gpt-4o-mini")
    return None


def answer(turn: Turn) -> Iterator[str]:
    """Yield the parts of the model's answer as they arrive. Raises ModelFailed."""
    from openai import OpenAI, OpenAIError

    turn.search()
    try:
        with OpenAI() as client:  # it reads the address and the key from the environment
            for _ in range(ROUNDS):
                calls = yield from _round(client, turn)
                if not calls:
                    return
                tools.execute(turn, calls)
    except OpenAIError as error:
        raise ModelFailed(f"The language model failed: {type(error).__name__}") from error
    raise ModelFailed(f"The language model asked for tools {ROUNDS} times and gave no answer")


def _round(client: OpenAI, turn: Turn) -> Generator[str, None, list[tools.Call]]:
    """Yield the text of one response of the model, and return its tool calls."""
    window = turn.memory.get_context_window(
        thread_id=turn.thread_id,
        max_tokens=WINDOW,
        format="openai",
        query=turn.question,
        scope="resource",
        system=system(turn),
        working_memory=True,
        facts=True,
    )
    chunks = client.chat.completions.create(
        model=name() or "",
        messages=window.messages,
        tools=cast(Any, tools.definitions(turn)),
        stream=True,
    )
    calls: dict[int, list[str]] = {}  # id, name and arguments, which arrive in fragments
    for choice in chain.from_iterable(chunk.choices for chunk in chunks):
        if choice.delta.content:
            yield choice.delta.content
        for part in choice.delta.tool_calls or []:
            before = calls.get(part.index, ["", "", ""])
            delta = (part.id, part.function.name, part.function.arguments) if part.function else ()
            calls[part.index] = [text + (more or "") for text, more in zip_longest(before, delta)]
    return [tools.Call(id, tool, _arguments(text)) for id, tool, text in calls.values()]


def _arguments(text: str) -> Any:
    """Return the arguments of a call; text that is not JSON is returned as it is.

    No tool takes text, so such a call has an error as its result.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def system(turn: Turn) -> str:
    """Return the instructions of a model, with the sources that were found."""
    sources = [
        f"[{source.number}] {title(source.record)}\n{without_footnotes(source.text)}"
        for source in turn.sources
        if source.text
    ]
    return "\n\n".join([INSTRUCTIONS, *sources])
