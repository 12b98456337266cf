"""Memory: a conversation about the language reference is saved, cut to a budget and recalled.

No language model is used. The questions are constants; for each, the search of the retrieval demo
is called as a tool, and the answer quotes its result.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from example_project.demo import progress, title
from example_project.demo.retrieval import INDEX, QUESTIONS
from mastra_engine import engine
from mastra_engine.exceptions import IdempotencyConflict

RESOURCE = "reader"
THREAD = "a tour of Python"
BUDGETS = (500, 1_000, 2_000, 4_000, 8_000, None)

#: The first messages of the conversation, and a question about them after its end.
INTRODUCTION = (
    "Hello, I am Robin. Before we start: our servers run Python 3.11, and I come from Java.",
    "Welcome, Robin. Ask me anything about the language, and I will look it up.",
)
REMEMBER = "which release is installed on the servers?"

#: Patches of working memory, as an agent would request them during the conversation.
PATCHES: list[dict[str, Any]] = [
    {"name": "Robin", "python": "3.11", "knows": {"Java": "well"}},
    {"knows": {"Python": "some"}, "asked_about": ["exceptions", "scopes", "imports"]},
    {"python": "3.13", "asked_about": None},
]


class MemoryDemo:
    """Steps that each use one feature of memory and print the result."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.memory = engine.memory

    def run(self) -> None:
        title(
            self.console,
            "Save a conversation with tool calls, then save it again",
            "memory.save_memory() appends messages; an idempotency key prevents a second append.",
        )
        self.save_twice()
        title(
            self.console,
            "Fit it into a context window",
            "memory.get_context_window() returns the newest messages within a budget of tokens.",
        )
        self.fit()
        title(
            self.console,
            "Recall the first messages",
            "memory.recall() searches the messages by meaning and returns their neighbours, too.",
        )
        self.recall()
        title(
            self.console,
            "Update working memory",
            "memory.update_working_memory() merges a patch; its version prevents lost updates.",
        )
        self.update_working_memory()

    def save_twice(self) -> None:
        table = Table("pass", "turns", "messages in the thread", "tokens", "ms")
        for label in "first", "again":
            started = time.perf_counter()
            turns = list(progress(self.console, "Turns", list(QUESTIONS)))
            self.save("introduction", introduction())
            for number, question in enumerate(turns, start=1):
                self.save(f"turn {number}", self.turn(number, question))
            window = self.memory.get_context_window(thread_id=THREAD)
            milliseconds = (time.perf_counter() - started) * 1000
            figures = len(turns) + 1, len(window), window.tokens, round(milliseconds)
            table.add_row(label, *map(str, figures))
        self.console.print(table)
        self.console.print(
            "[dim]The second pass has the same idempotency keys, so it appends nothing. "
            "No language model was used: the answers quote the tool's results.[/dim]"
        )

    def fit(self) -> None:
        table = Table("budget", "messages", "tokens", "truncated", "begins with", title="OpenAI's")
        for budget in BUDGETS:
            window = self.memory.get_context_window(
                thread_id=THREAD, max_tokens=budget, format="openai"
            )
            begins = window.messages[0]["role"] if window.messages else ""
            table.add_row(
                "none" if budget is None else f"{budget:,}",
                str(len(window)),
                f"{window.tokens:,}",
                "yes" if window.truncated else "no",
                begins,
            )
        self.console.print(table)
        self.console.print("[dim]A window has both a tool call and its result, or neither.[/dim]")

    def recall(self) -> None:
        recalled = self.memory.recall(
            query=REMEMBER, resource_id=RESOURCE, top_k=1, message_range=(0, 1)
        )
        last = self.memory.get_thread(thread_id=THREAD).message_count
        table = Table("position", "role", "text", "score", title=REMEMBER)
        for message in recalled:
            score = "" if message.score is None else f"{message.score:.2f}"
            text = message.content[0]["text"]
            table.add_row(f"{message.position} of {last}", message.role, text, score)
        self.console.print(table)

    def update_working_memory(self) -> None:
        """Apply the patches that an earlier run has not applied; the version counts them."""
        memory = self.memory.get_working_memory(resource_id=RESOURCE)
        for version, patch in enumerate(PATCHES):
            if memory.version == version:
                memory = self.memory.update_working_memory(
                    resource_id=RESOURCE, patch=patch, if_version=version
                )
                self.console.print("patch  ", json.dumps(patch))
        self.console.print(f"version {memory.version}", json.dumps(memory.data))

    # Steps

    def save(self, key: str, messages: list[dict[str, Any]]) -> None:
        """Append messages; those that an earlier run appended stay as they are."""
        try:
            self.memory.save_memory(
                thread_id=THREAD, resource_id=RESOURCE, messages=messages, idempotency_key=key
            )
        except IdempotencyConflict:  # the reference of another Python version differs
            self.console.print(f"[dim]{key}: an earlier run saved another answer; kept[/dim]")

    def turn(self, number: int, question: str) -> list[dict[str, Any]]:
        """Return the messages of a turn, in which a tool looks the question up."""
        results = look_up(question)
        call = {"name": "look_up", "arguments": json.dumps({"question": question})}
        id = f"call_{number}"
        return [
            {"role": "user", "content": question},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": id, "type": "function", "function": call}],
            },
            # The result is a part, not text: semantic recall embeds the text of messages only.
            {
                "role": "tool",
                "content": [{"type": "tool-result", "tool_call_id": id, "result": results}],
            },
            {"role": "assistant", "content": quoted(results[0]["text"])},
        ]


def introduction() -> list[dict[str, Any]]:
    greeting, reply = INTRODUCTION
    return [{"role": "user", "content": greeting}, {"role": "assistant", "content": reply}]


def look_up(question: str) -> list[dict[str, Any]]:
    """Return the two chunks of the language reference closest to a question: the tool."""
    matches = engine.vectors.query(index_name=INDEX, query_text=question, top_k=2)
    return [{"topic": match.metadata["topic"], "text": match.document} for match in matches]


def quoted(chunk: str) -> str:
    """Return the first sentence of a chunk, and its heading."""
    heading, _, text = chunk.partition("\n\n")
    sentence = re.split(r"(?<=[.:?])\s", " ".join(text.split()), maxsplit=1)[0]
    return f"The reference, under {heading!r}: {sentence}"
