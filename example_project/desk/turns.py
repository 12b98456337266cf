"""One question and its answer, saved step by step."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from example_project.desk import knowledge
from mastra_engine import MastraEngine
from mastra_engine.types import Message, Record


class Turn:
    """A user's question, the sources found for it, and the messages saved on the way to an answer.

    `key` is a name that the browser gives to the question. It makes saving idempotent: a question
    that is sent twice is saved once, and an answer that was interrupted is made when the question
    is sent again.
    """

    def __init__(
        self, desk: MastraEngine, *, resource_id: str, thread_id: str, key: str, question: str
    ) -> None:
        self.desk = desk
        self.memory = desk.memory
        self.resource_id = resource_id
        self.thread_id = thread_id
        self.key = key
        self.question = question
        self.sources: list[knowledge.Source] = []

    def save_question(self) -> None:
        """Save the question, in a new conversation if its thread does not exist.

        Raises ThreadNotFound when the thread belongs to another user.
        """
        metadata = {"turn": self.key, "asked_in": self.thread_id}
        question = {"role": "user", "content": self.question, "metadata": metadata}
        (message,) = self.save("question", [question])
        if message.position == 1:
            self.memory.update_thread(thread_id=self.thread_id, title=self.question[:80])

    def save_answer(self, text: str, *, model: str | None) -> None:
        """Save the answer with its sources and the name of the language model, if one made it."""
        metadata = {"turn": self.key, "model": model, "sources": self._references(text)}
        self.save("answer", [{"role": "assistant", "content": text, "metadata": metadata}])

    def is_answered(self) -> bool:
        """Say whether an answer was saved."""
        answers = {"turn": self.key, "sources": {"$exists": True}}
        return bool(self.memory.list_messages(thread_id=self.thread_id, metadata=answers, limit=1))

    def search(self) -> None:
        """Add the chunks that fit the question to the sources, if there are any."""
        for match in knowledge.search(self.desk, self.question):
            origin = {
                "index": match.index,
                "chunk": match.chunk,
                "score": round(match.score, 4),
                "similarity": round(match.similarity or 0, 4),
                "lexical": round(match.lexical, 4),
                "explanation": asdict(match.explanation) if match.explanation else None,
            }
            self._add_source(match.record, match.text, origin)

    def cite(self, record: Record, *, tool: str) -> int:
        """Return the number that cites a record; add it to the sources if it is new."""
        for source in self.sources:
            if source.record.id == record.id:
                return source.number
        return self._add_source(record, "", {"tool": tool})

    def save(self, step: str, messages: list[dict[str, Any]]) -> list[Message]:
        """Append the messages of a step; a step that was saved before is not saved again."""
        return self.memory.save_memory(
            thread_id=self.thread_id,
            resource_id=self.resource_id,
            messages=messages,
            idempotency_key=f"{self.key}/{step}",
        )

    def _add_source(self, record: Record, text: str, origin: dict[str, Any]) -> int:
        number = len(self.sources) + 1
        self.sources.append(
            knowledge.Source(number=number, text=text, record=record, origin=origin)
        )
        return number

    def _references(self, text: str) -> list[dict[str, Any]]:
        cited_numbers = re.findall(r"\[(\d+)\]", text)
        return [
            {**source.reference(), "cited": str(source.number) in cited_numbers}
            for source in self.sources
        ]
