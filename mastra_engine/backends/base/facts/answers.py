"""Validated answers of a FactExtractor. A language model may have written them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from mastra_engine.backends.base.facts.arguments import (
    MAX_FACTS,
    NewFact,
    listed,
    new_fact,
    object_text,
)
from mastra_engine.exceptions import InvalidInput, MessageNotFound
from mastra_engine.types import FactSource, Message, Retraction
from mastra_engine.validation.inputs import name

#: Bytes of an answer as JSON. Each of its parts has a limit too, but there may be many.
MAX_ANSWER_BYTES = 1024 * 1024
PATH = "/answer"


@dataclass(frozen=True, slots=True)
class Answer:
    """The facts and the retractions of a validated answer."""

    facts: Sequence[NewFact]
    retractions: Sequence[Retraction]


def checked_answer(values: Any, messages: Sequence[Message]) -> Answer:
    """Return a validated answer; a fact without sources rests on all messages.

    Raises InvalidInput that names the place of an invalid value, and MessageNotFound for a source
    that is not one of the messages.
    """
    facts, retractions = [], []
    size = 0
    for position, value in enumerate(listed(values, PATH, "facts and retractions", MAX_FACTS)):
        path = f"{PATH}/{position}"
        checked: NewFact | Retraction
        if isinstance(value, Retraction):
            retractions.append(checked := _retraction(value, path))
        else:
            facts.append(checked := new_fact(value, path))
        size += len(orjson.dumps(checked))
        if size > MAX_ANSWER_BYTES:
            message = f"must have at most {MAX_ANSWER_BYTES:,} bytes as JSON"
            raise InvalidInput(message, path=PATH)
    everything = tuple(FactSource(message_id=message.id) for message in messages)
    ids = {message.id for message in messages}
    return Answer([_sourced(fact, everything, ids) for fact in facts], retractions)


def _retraction(value: Retraction, path: str) -> Retraction:
    return Retraction(
        subject=name(value.subject, f"{path}/subject"),
        predicate=name(value.predicate, f"{path}/predicate"),
        object=None if value.object is None else object_text(value.object, f"{path}/object"),
    )


def _sourced(
    fact: NewFact, everything: tuple[FactSource, ...], message_ids: Collection[str]
) -> NewFact:
    for position, source in enumerate(fact.sources):
        if source.message_id is None:
            message = "must name one of the messages that the extractor was given"
            raise InvalidInput(message, path=f"{fact.path}/sources/{position}")
        if source.message_id not in message_ids:
            raise MessageNotFound(id=source.message_id)
    return fact if fact.sources else replace(fact, sources=everything)
