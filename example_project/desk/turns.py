"""One question and its answer, remembered step by step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from example_project.desk import extractive, knowledge, model, tools
from mastra_engine import MastraEngine
from mastra_engine.types import Message, Record


class Turn:
    """A user's question on its way to an answer. What is said and done is saved as it happens.

    `key` is the browser's name for it: a question that is sent twice is asked once, and one whose
    answer was cut off is answered when it is sent again.
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
        self.passages: list[knowledge.Passage] = []

    def begin(self) -> None:
        """Save the question; raises ThreadNotFound when the conversation is somebody else's."""
        about = {"turn": self.key, "asked_in": self.thread_id}
        asked = {"role": "user", "content": self.question, "metadata": about}
        (saved,) = self._save("question", [asked])
        if saved.position == 1:
            self.memory.update_thread(thread_id=self.thread_id, title=self.question[:80])

    def answer(self) -> Iterator[str]:
        """Yield the answer as it is made, and save it with its sources once it is whole."""
        if self._is_answered():
            return
        said = []
        for piece in model.answer(self) if model.name() else extractive.answer(self):
            said.append(piece)
            yield piece
        text = "".join(said)
        about = {"turn": self.key, "model": model.name(), "passages": self._references(text)}
        self._save("answer", [{"role": "assistant", "content": text, "metadata": about}])

    # What an answer is made with

    def search(self) -> None:
        """Look for passages that may answer the question."""
        for match in knowledge.search(self.desk, self.question):
            found = {"index": match.index, "chunk": match.chunk, "score": round(match.score, 4)}
            self._add(match.record, match.passage, found)

    def cite(self, record: Record, *, tool: str) -> int:
        """Return the number to cite a record by that a tool looked up."""
        known = (each.number for each in self.passages if each.record.id == record.id)
        return next(known, 0) or self._add(record, "", {"tool": tool})

    def use(self, calls: list[tools.Call]) -> list[dict[str, Any]]:
        """Use tools and return what they answer; calls and answers are saved together."""
        results = [tools.use(self, call) for call in calls]
        messages = tools.as_messages(calls, results)
        self._save(calls[0].id, messages)
        return results

    # Steps

    def _add(self, record: Record, text: str, found: dict[str, Any]) -> int:
        number = len(self.passages) + 1
        self.passages.append(
            knowledge.Passage(number=number, text=text, record=record, found=found)
        )
        return number

    def _references(self, text: str) -> list[dict[str, Any]]:
        cited = re.findall(r"\[(\d+)\]", text)
        return [
            {**passage.reference(), "cited": str(passage.number) in cited}
            for passage in self.passages
        ]

    def _is_answered(self) -> bool:
        about = {"turn": self.key, "passages": {"$exists": True}}
        return bool(self.memory.list_messages(thread_id=self.thread_id, metadata=about, limit=1))

    def _save(self, step: str, messages: list[dict[str, Any]]) -> list[Message]:
        return self.memory.save_memory(
            thread_id=self.thread_id,
            resource_id=self.resource_id,
            messages=messages,
            idempotency_key=f"{self.key}/{step}",
        )
