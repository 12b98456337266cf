"""The answer of a language model that extracts facts. It cites messages by their numbers.

Import this module only to ask a model: pydantic comes with the extra `openai`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mastra_engine.exceptions import EngineError, quoted
from mastra_engine.types import FactInput, FactSource, Message, Retraction


class _Part(BaseModel):
    # A server with strict schemas requires every field, and that others are excluded.
    model_config = ConfigDict(extra="forbid")


class _Source(_Part):
    message: int
    quote: str


class _Fact(_Part):
    subject: str
    predicate: str
    object: str
    many: bool
    valid_from: datetime | None
    valid_to: datetime | None
    confidence: float
    aliases: list[str]
    sources: list[_Source]


class _Retraction(_Part):
    subject: str
    predicate: str
    object: str | None


class ModelAnswer(_Part):
    """Facts and retractions as a model writes them."""

    facts: list[_Fact]
    retractions: list[_Retraction]

    def to_values(
        self, messages: Sequence[Message], texts: Sequence[str]
    ) -> list[FactInput | Retraction]:
        """Return the parts of the answer, which cites messages with these texts.

        Raises EngineError for a message that the model was not given.
        """
        retractions = [
            Retraction(part.subject, part.predicate, part.object) for part in self.retractions
        ]
        return [*retractions, *(_fact(part, messages, texts) for part in self.facts)]


def parsed_answer(content: str) -> ModelAnswer:
    """Return the answer of a model; raise EngineError that names the place of an invalid part."""
    try:
        return ModelAnswer.model_validate_json(content)
    except ValidationError as error:
        first, *_ = error.errors(include_input=False, include_url=False)
        place = "/".join(str(part) for part in ("", *first["loc"]))
        message = f"The language model's answer does not fit the schema at {quoted(place)}"
        raise EngineError(f"{message}: {first['msg']:.200}") from error


def response_format() -> Any:
    """Return the format that a server with structured output is asked for."""
    schema = {"name": "facts", "strict": True, "schema": ModelAnswer.model_json_schema()}
    return {"type": "json_schema", "json_schema": schema}


def _fact(part: _Fact, messages: Sequence[Message], texts: Sequence[str]) -> FactInput:
    return FactInput(
        subject=part.subject,
        predicate=part.predicate,
        object=part.object,
        valid_from=_with_zone(part.valid_from),
        valid_to=_with_zone(part.valid_to),
        sources=[_source(source, messages, texts) for source in part.sources],
        confidence=part.confidence,
        aliases=part.aliases,
        many=part.many,
    )


def _source(source: _Source, messages: Sequence[Message], texts: Sequence[str]) -> FactSource:
    position = source.message - 1
    if not 0 <= position < len(messages):
        raise EngineError(f"The language model cited message {source.message} of {len(messages)}")
    # Models alter quotes. A quote that the message does not contain is dropped.
    quote = source.quote if source.quote in texts[position] else ""
    return FactSource(message_id=messages[position].id, quote=quote)


def _with_zone(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.utcoffset() is None else moment
