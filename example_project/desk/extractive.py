"""Answers without a language model, quoted from tickets, documentation and earlier messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from example_project.desk.knowledge import title, without_footnotes
from example_project.desk.tools import KINDS, STATES, Call, execute
from example_project.desk.turns import Turn
from mastra_engine import Reranker
from mastra_engine.retrieval.fusion import cosine
from mastra_engine.types import Match, Weights

PARAGRAPHS = 2
#: Paragraphs are ranked by the words they share with the question and by similarity of meaning.
WEIGHTS = Weights(semantic=0.5, vector=0.5, position=0)
#: The lowest score of a paragraph that is quoted, and the lowest similarity of a message or a fact.
MIN_QUOTED, MIN_RECALLED = 0.3, 0.5

_REMEMBER = re.compile(
    r"\s*(?:please )?remember(?: that)?:?\s+(.+?)[\s.!]*", re.IGNORECASE | re.DOTALL
)
_TICKET = re.compile(
    r"(?:#|\b(?:ticket|issue|pull request|discussion)\s+#?)(\d{1,9})\b", re.IGNORECASE
)
#: A question for a list of tickets says so, or names a state: "list the issues", "open tickets",
#: "which discussions are closed?".
_LISTING = re.compile(
    r"(?P<all>\b(?:all|list|show|how many)(?:\s+(?:me|us|all|of|the|your|our))*\s+)?"
    r"(?:\b(?P<state>open|closed)\s+)?\b(?P<kind>ticket|issue|pull request|discussion)s\b"
    r"(?:\s+(?:that\s+|which\s+)?are\s+(?:still\s+)?(?P<later>open|closed|there)\b)?",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^.+\n[*=~^-]{3,}$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n\s*\n")
#: The documentation puts code between quotes; Markdown puts it between backticks.
_CODE = re.compile(r'"([^"`]+)"')
#: Beginnings of paragraphs of code and of tables.
_UNQUOTABLE = ("   ", "+", "|")


def answer(turn: Turn) -> Iterator[str]:
    """Yield the parts of an answer that is put together by rules."""
    if request := _REMEMBER.fullmatch(turn.question):
        yield from _remember(turn, request[1])
    elif numbers := dict.fromkeys(map(int, _TICKET.findall(turn.question))):
        for number in numbers:
            yield from _look_up(turn, number)
    elif (listing := _listing(turn.question)) is not None:
        yield from _list(turn, listing)
    else:
        turn.search()
        told = [*_known(turn)] or [*_recalled(turn)]
        quotes = [*told, *_quoted(turn)]
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


def _listing(question: str) -> dict[str, str] | None:
    """Return the conditions on the tickets that a question asks to list, or None."""
    for listed in _LISTING.finditer(question):
        kind, state, later = ((listed[group] or "").lower() for group in ("kind", "state", "later"))
        state = state or later
        if listed["all"] or state:
            conditions = {"kind": kind, "state": state}
            return {name: value for name, value in conditions.items() if value in KINDS + STATES}
    return None


def _list(turn: Turn, conditions: dict[str, str]) -> Iterator[str]:
    call = Call(f"{turn.key}-list", "list_tickets", conditions)
    (result,) = execute(turn, [call])
    tickets = result["tickets"]
    names = [conditions.get("state", ""), conditions.get("kind", "ticket")]
    noun = " ".join(filter(None, names)) + ("" if len(tickets) == 1 else "s")
    yield f"I found {len(tickets) or 'no'} {noun}.\n\n"
    for ticket in tickets:
        name = f"{ticket['repository']}#{ticket['number']}"
        described = f"{ticket['state']} {ticket['kind']} by {ticket['author']}"
        yield f"- **{name}: {ticket['title']}**, {described} [{ticket['cite_as']}]\n"


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


def _known(turn: Turn) -> Iterator[str]:
    """Yield the facts about the user that are close to the question."""
    matches = turn.desk.facts.search(
        query=turn.question, resource_id=turn.resource_id, top_k=3, min_score=MIN_RECALLED
    )
    for fact in (match.fact for match in matches):
        claim = f"{fact.subject} {fact.predicate} {fact.object}"
        yield f"On {fact.valid_from:%B %-d} you told me: “{claim}”\n\n"


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
    """Yield the paragraphs of the sources that fit the question best."""
    # Reversed, so that a paragraph of several sources is cited from the best of them.
    paragraphs = {
        paragraph: source.number
        for source in reversed(turn.sources)
        for paragraph in _paragraphs(source.text)
    }
    scored = _scored(turn, list(paragraphs))
    ranked = Reranker(weights=WEIGHTS).rerank(scored, turn.question, top_k=PARAGRAPHS)
    for paragraph in (match.match.id for match in ranked if match.score >= MIN_QUOTED):
        yield f"- {paragraph.removeprefix('* ')} [{paragraphs[paragraph]}]\n"


def _closest(turn: Turn) -> Iterator[str]:
    """Yield the titles of the closest sources, for a question that no paragraph answers."""
    places = [f"{title(source.record)} [{source.number}]" for source in turn.sources[:2]]
    if places:
        yield "I found no paragraph that answers this."
        yield f" Closest comes what is under {' and '.join(places)}."
    else:
        yield "I found nothing about this in the documentation or the tickets."


def _scored(turn: Turn, paragraphs: list[str]) -> list[Match]:
    """Score paragraphs by the similarity of their meaning to the question's."""
    embedder = turn.desk.vectors.embedder
    assert embedder is not None
    question = embedder.embed_query(turn.question)
    return [
        Match(id=paragraph, document=paragraph, score=cosine(question, vector))
        for paragraph, vector in zip(paragraphs, embedder.embed_documents(paragraphs), strict=True)
    ]


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a text, without its headings, its indented code and its tables."""
    for paragraph in _PARAGRAPH.split(_HEADING.sub("", without_footnotes(text))):
        if paragraph.strip() and not paragraph.startswith(_UNQUOTABLE):
            yield _CODE.sub(r"`\1`", " ".join(paragraph.split()))
