"""Answers without a language model, quoted from tickets, documentation and earlier messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from example_project.desk.knowledge import title, without_footnotes
from example_project.desk.tools import Call, execute
from example_project.desk.turns import Turn
from mastra_engine import Reranker
from mastra_engine.retrieval.fusion import cosine
from mastra_engine.types import Match, Weights

SENTENCES = 3
#: Sentences are ranked by the words they share with the question and by similarity of meaning.
WEIGHTS = Weights(semantic=0.5, vector=0.5, position=0)
#: The lowest score of a sentence that is quoted, and of a message that is recalled.
MIN_QUOTED, MIN_RECALLED = 0.35, 0.5

_REMEMBER = re.compile(
    r"\s*(?:please )?remember(?: that)?:?\s+(.+?)[\s.!]*", re.IGNORECASE | re.DOTALL
)
_TICKET = re.compile(
    r"(?:#|\b(?:ticket|issue|pull request|discussion)\s+#?)(\d{1,9})\b", re.IGNORECASE
)
_HEADING = re.compile(r"^.+\n[*=~^-]{3,}$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n\s*\n")
#: The documentation puts code between quotes; Markdown puts it between backticks.
_CODE = re.compile(r'"([^"`]+)"')
_SENTENCE = re.compile(r"(?<=[.!?:])\s+(?=[A-Z`*])")


def answer(turn: Turn) -> Iterator[str]:
    """Yield the parts of an answer that is put together by rules."""
    if request := _REMEMBER.fullmatch(turn.question):
        yield from _remember(turn, request[1])
    elif numbers := dict.fromkeys(map(int, _TICKET.findall(turn.question))):
        for number in numbers:
            yield from _look_up(turn, number)
    else:
        turn.search()
        quotes = [*_recalled(turn), *_quoted(turn)]
        yield from quotes or _closest(turn)


def _remember(turn: Turn, fact: str) -> Iterator[str]:
    patch = {"notes": {fact: f"{timezone.localdate()}"}}
    execute(turn, [Call(f"{turn.key}-remember", "update_working_memory", patch)])
    yield f"I will keep in mind: {fact}."


def _look_up(turn: Turn, number: int) -> Iterator[str]:
    call = Call(f"{turn.key}-{number}", "look_up_ticket", {"number": number})
    (result,) = execute(turn, [call])
    if not result["tickets"]:
        yield f"There is no ticket #{number}.\n\n"
    for ticket in result["tickets"]:
        yield _described(ticket) + "\n\n"


def _described(ticket: dict[str, Any]) -> str:
    name = f"{ticket['repository']}#{ticket['number']}"
    lines = [
        f"**{name}: {ticket['title']}** [{ticket['cite_as']}]",
        f"A {ticket['kind']} by {ticket['author']}; its state is **{ticket['state']}**.",
    ]
    if ticket["body"]:
        lines.append(f"“{ticket['body']}”")
    lines += [
        f"{comment['author']} commented: “{comment['body']}”" for comment in ticket["comments"]
    ]
    return "\n\n".join(lines)


def _recalled(turn: Turn) -> Iterator[str]:
    """Yield the user's statements in other conversations that are close to the question."""
    recalled = turn.memory.recall(
        query=turn.question,
        resource_id=turn.resource_id,
        top_k=5,
        message_range=(0, 0),
        min_score=MIN_RECALLED,
        filter={"asked_in": {"$exists": True, "$ne": turn.thread_id}},
    )
    statements = {message.content[0]["text"]: message.created_at for message in recalled}
    for text, at in statements.items():
        if not text.endswith("?"):
            yield f"On {at:%B %-d} you told me: “{text}”\n\n"


def _quoted(turn: Turn) -> Iterator[str]:
    """Yield the sentences of the sources that are closest to the question."""
    # Reversed, so that a sentence of several sources is cited from the closest of them.
    sentences = {
        sentence: source.number
        for source in reversed(turn.sources)
        for sentence in _sentences(source.text)
    }
    scored = _scored(turn, list(sentences))
    ranked = Reranker(weights=WEIGHTS).rerank(scored, turn.question, top_k=SENTENCES)
    for sentence in (match.match.id for match in ranked if match.score >= MIN_QUOTED):
        yield f"- {sentence} [{sentences[sentence]}]\n"


def _closest(turn: Turn) -> Iterator[str]:
    """Yield the titles of the closest sources, for a question that no sentence answers."""
    places = [f"{title(source.record)} [{source.number}]" for source in turn.sources[:2]]
    yield "I found no sentence that answers this."
    if places:
        yield f" Closest comes what is under {' and '.join(places)}."


def _scored(turn: Turn, sentences: list[str]) -> list[Match]:
    """Score sentences by the similarity of their meaning to the question's."""
    embedder = turn.desk.vectors.embedder
    assert embedder is not None
    question = embedder.embed_query(turn.question)
    return [
        Match(id=sentence, document=sentence, score=cosine(question, vector))
        for sentence, vector in zip(sentences, embedder.embed_documents(sentences), strict=True)
    ]


def _sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text, without its headings and its indented code."""
    for paragraph in _PARAGRAPH.split(_HEADING.sub("", without_footnotes(text))):
        if not paragraph.startswith("   "):
            prose = _CODE.sub(r"`\1`", " ".join(paragraph.split()))
            yield from filter(None, _SENTENCE.split(prose))
