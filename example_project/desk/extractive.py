"""Answers without a language model: nothing but what tickets, passages and the user said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from example_project.desk.knowledge import title, without_footnotes
from example_project.desk.tools import Call
from mastra_engine import Reranker
from mastra_engine.retrieval.fusion import cosine
from mastra_engine.types import Match, Weights

if TYPE_CHECKING:
    from example_project.desk.turns import Turn

SENTENCES = 3
#: What sentences are ranked by: words shared with the question, and closeness in meaning.
WEIGHTS = Weights(semantic=0.5, vector=0.5, position=0)
#: What is less close than this is not quoted, or not recalled.
QUOTED, RECALLED = 0.35, 0.5

_REMEMBER = re.compile(
    r"\s*(?:please )?remember(?: that)?:?\s+(.+?)[\s.!]*", re.IGNORECASE | re.DOTALL
)
_TICKET = re.compile(
    r"(?:#|\b(?:ticket|issue|pull request|discussion)\s+#?)(\d{1,9})\b", re.IGNORECASE
)
_HEADING = re.compile(r"^.+\n[*=~^-]{3,}$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n\s*\n")
#: The documentation has code between quotes, where Markdown has it between backticks.
_CODE = re.compile(r'"([^"`]+)"')
_SENTENCE = re.compile(r"(?<=[.!?:])\s+(?=[A-Z`*])")


def answer(turn: Turn) -> Iterator[str]:
    """Yield an answer that rules put together."""
    if told := _REMEMBER.fullmatch(turn.question):
        yield from _remember(turn, told[1])
    elif numbers := dict.fromkeys(map(int, _TICKET.findall(turn.question))):
        for number in numbers:
            yield from _look_up(turn, number)
    else:
        turn.search()
        found = [*_recalled(turn), *_quoted(turn)]
        yield from found or _closest(turn)


def _remember(turn: Turn, fact: str) -> Iterator[str]:
    patch = {"notes": {fact: f"{timezone.localdate()}"}}
    turn.use([Call(f"{turn.key}-remember", "update_working_memory", patch)])
    yield f"I will keep in mind: {fact}."


def _look_up(turn: Turn, number: int) -> Iterator[str]:
    call = Call(f"{turn.key}-{number}", "look_up_ticket", {"number": number})
    (result,) = turn.use([call])
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
    lines += [f"{each['author']} commented: “{each['body']}”" for each in ticket["comments"]]
    return "\n\n".join(lines)


def _recalled(turn: Turn) -> Iterator[str]:
    """Yield what the user said in other conversations that bears on the question."""
    recalled = turn.memory.recall(
        query=turn.question,
        resource_id=turn.resource_id,
        top_k=5,
        message_range=(0, 0),
        min_score=RECALLED,
        filter={"asked_in": {"$exists": True, "$ne": turn.thread_id}},
    )
    told = {message.content[0]["text"]: message.created_at for message in recalled}
    for text, at in told.items():
        if not text.endswith("?"):
            yield f"On {at:%B %-d} you told me: “{text}”\n\n"


def _quoted(turn: Turn) -> Iterator[str]:
    """Yield the sentences of the passages that come closest to the question."""
    sentences = {
        sentence: passage.number
        for passage in reversed(turn.passages)  # what several say is quoted from the closest
        for sentence in _sentences(passage.text)
    }
    scored = _scored(turn, list(sentences))
    ranked = Reranker(weights=WEIGHTS).rerank(scored, turn.question, top_k=SENTENCES)
    for sentence in (each.match.id for each in ranked if each.score >= QUOTED):
        yield f"- {sentence} [{sentences[sentence]}]\n"


def _closest(turn: Turn) -> Iterator[str]:
    """Yield where an answer might be, though no sentence is one."""
    places = [f"{title(passage.record)} [{passage.number}]" for passage in turn.passages[:2]]
    yield "I found no sentence that answers this."
    if places:
        yield f" Closest comes what is under {' and '.join(places)}."


def _scored(turn: Turn, sentences: list[str]) -> list[Match]:
    """Score sentences by how close they are in meaning to the question."""
    embedder = turn.desk.vectors.embedder
    assert embedder is not None
    asked = embedder.embed_query(turn.question)
    return [
        Match(id=sentence, document=sentence, score=cosine(asked, vector))
        for sentence, vector in zip(sentences, embedder.embed_documents(sentences), strict=True)
    ]


def _sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text, without its headings and its code, which is indented."""
    for paragraph in _PARAGRAPH.split(_HEADING.sub("", without_footnotes(text))):
        if not paragraph.startswith("   "):
            prose = _CODE.sub(r"`\1`", " ".join(paragraph.split()))
            yield from filter(None, _SENTENCE.split(prose))
