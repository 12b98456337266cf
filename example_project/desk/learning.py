"""The facts that users tell about themselves, which the engine extracts from their messages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from example_project.desk import model
from mastra_engine.extractors import OpenAIFactExtractor
from mastra_engine.types import Fact, FactInput, FactSource, Message, Retraction

#: A statement such as "I live in Berlin", "our servers run Python 3.11", "I no longer use Windows".
_STATEMENT = re.compile(
    r"\b(?P<subject>I|we|(?:my|our)(?: \w+){1,3}?) (?P<ended>no longer )?"
    r"(?P<predicate>am|are|is|live in|prefer|runs?|uses?|works? (?:at|for|on|with)) "
    r"(?P<object>\S.*)",
    re.IGNORECASE,
)
_BETWEEN_STATEMENTS = re.compile(r"[.!,;]+(?:\s+|$)|\n|\s(?:and|but)\s")


class DeskExtractor:
    """Asks the language model of the desk if one is set up, and goes by rules otherwise."""

    def extract(
        self, messages: Sequence[Message], known_facts: Sequence[Fact]
    ) -> list[FactInput | Retraction]:
        """Return the facts that users tell in messages, and those that they take back."""
        if name := model.name():
            url, key = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
            return OpenAIFactExtractor(name, url, key).extract(messages, known_facts)
        return [
            part
            for message in messages
            if message.role == "user"
            for part in _parts(message, message.content[0]["text"])
        ]


def _parts(message: Message, text: str) -> Iterator[FactInput | Retraction]:
    """Yield the parts of a message that is no question."""
    if not text.rstrip().endswith("?"):
        for clause in _BETWEEN_STATEMENTS.split(text):
            if statement := _STATEMENT.search(clause):
                yield _part(message, statement)


def _part(message: Message, statement: re.Match[str]) -> FactInput | Retraction:
    claim = statement["subject"], statement["predicate"], statement["object"]
    if statement["ended"]:
        return Retraction(*claim)
    return FactInput(*claim, sources=[FactSource(message_id=message.id, quote=statement[0])])
