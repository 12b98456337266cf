"""Validated facts, before it is known which claims they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import FactInput, FactSource
from mastra_engine.validation.inputs import flag, moment, name, names, share, text, uuid
from mastra_engine.validation.jsonb import plain_keys
from mastra_engine.validation.suggestions import unknown

T = TypeVar("T")

#: Facts of one call, sources of one fact, and aliases of one fact.
MAX_FACTS = 1_000
MAX_SOURCES = 1_000
MAX_ALIASES = 100
#: Bytes of an object, of a quote, and of a reason.
MAX_TEXT_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFact:
    """A validated fact; `path` points at it in the arguments."""

    path: str
    subject: str
    predicate: str
    object: str
    valid_from: datetime | None
    valid_to: datetime | None
    sources: tuple[FactSource, ...]
    confidence: float
    aliases: tuple[str, ...]
    pinned: bool
    many: bool


def new_facts(values: Any, path: str = "/facts") -> list[NewFact]:
    """Return validated facts; raise InvalidInput that names the place of an invalid value."""
    values = listed(values, path, "facts", MAX_FACTS)
    return [new_fact(value, f"{path}/{position}") for position, value in enumerate(values)]


def limited_text(value: Any, path: str) -> str:
    """Return `value` if it is a text of at most 16 KiB."""
    valid_text = text(value, path)
    if (size := len(valid_text.encode())) > MAX_TEXT_BYTES:
        raise InvalidInput(f"must have at most {MAX_TEXT_BYTES:,} bytes, got {size:,}", path=path)
    return valid_text


def object_text(value: Any, path: str) -> str:
    """Return `value` if it is valid as the object of a fact: text of 1 byte to 16 KiB."""
    valid_text = limited_text(value, path)
    if not valid_text:
        raise InvalidInput("must not be empty", path=path)
    return valid_text


def new_fact(value: Any, path: str) -> NewFact:
    """Return a validated fact."""
    fact = _as(FactInput, value, path, "a fact")
    valid_from = None if fact.valid_from is None else moment(fact.valid_from, f"{path}/valid_from")
    return NewFact(
        path=path,
        subject=name(fact.subject, f"{path}/subject"),
        predicate=name(fact.predicate, f"{path}/predicate"),
        object=object_text(fact.object, f"{path}/object"),
        valid_from=valid_from,
        valid_to=_end(fact.valid_to, valid_from, f"{path}/valid_to"),
        sources=_sources(fact.sources, f"{path}/sources"),
        confidence=share(fact.confidence, f"{path}/confidence"),
        aliases=_aliases(fact.aliases, f"{path}/aliases"),
        pinned=flag(fact.pinned, f"{path}/pinned"),
        many=flag(fact.many, f"{path}/many"),
    )


def _end(value: Any, start: datetime | None, path: str) -> datetime | None:
    if value is None:
        return None
    end = moment(value, path)
    return end if start is None else later(end, start, path)


def later(end: datetime, start: datetime, path: str) -> datetime:
    """Return the end of an interval if it is later than its start; raise InvalidInput."""
    if end <= start:
        message = f"must be later than valid_from, {start.isoformat()}, got {end.isoformat()}"
        raise InvalidInput(message, path=path)
    return end


def _sources(values: Any, path: str) -> tuple[FactSource, ...]:
    values = listed(values, path, "sources", MAX_SOURCES)
    sources = (_source(value, f"{path}/{position}") for position, value in enumerate(values))
    return tuple(dict.fromkeys(sources))


def _source(value: Any, path: str) -> FactSource:
    source = _as(FactSource, value, path, "a source")
    if (source.message_id is None) == (source.record_id is None):
        raise InvalidInput("must name either a message_id or a record_id", path=path)
    message, record = source.message_id, source.record_id
    return FactSource(
        message_id=None if message is None else name(message, f"{path}/message_id"),
        record_id=None if record is None else uuid(record, f"{path}/record_id"),
        quote=limited_text(source.quote, f"{path}/quote"),
    )


def _aliases(values: Any, path: str) -> tuple[str, ...]:
    aliases = names(values, path)
    if len(aliases) > MAX_ALIASES:
        message = f"must have at most {MAX_ALIASES} aliases, got {len(aliases)}"
        raise InvalidInput(message, path=path)
    return tuple(aliases)


def listed(values: Any, path: str, kind: str, most: int) -> list[Any]:
    """Return the items of an iterable, of which at most one more than allowed is consumed."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        message = f"must be a list of {kind}, not {type(values).__name__}"
        raise InvalidInput(message, path=path)
    items: list[Any] = []
    for item in values:
        if len(items) == most:
            raise InvalidInput(f"must have at most {most:,} {kind}", path=path)
        items.append(item)
    return items


def _as(kind: type[T], value: Any, path: str, description: str) -> T:
    """Return `value`, which may be a dict with the fields of `kind`."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        message = f"must be {description} ({kind.__name__} or a dict), not {type(value).__name__}"
        raise InvalidInput(message, path=path)
    values = plain_keys(value)
    field_names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in field_names:
            raise InvalidInput(unknown("key", key, field_names), path=f"{path}/{key}")
    for key in _REQUIRED[kind]:
        if key not in values:
            raise InvalidInput("is missing", path=f"{path}/{key}")
    return kind(**values)


_REQUIRED: dict[type, tuple[str, ...]] = {
    FactInput: ("subject", "predicate", "object"),
    FactSource: (),
}
