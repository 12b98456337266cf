"""The observed shape of records: a JSON Schema per entity, inferred by genson from a sample."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from typing import Any

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import EngineConfigError, EntityNotFound, quoted
from mastra_engine.types import Entity
from mastra_engine.validation.inputs import count

Schema = dict[str, Any]

SAMPLE = 1_000
# An object with more keys is treated as a dictionary, because its keys are data.
MOST_KEYS = 200
# Deeper levels allow any value; the YAML parsers of some generators accept 100 levels of schema.
MOST_LEVELS = 20
_DICTIONARY: Schema = {"type": "object", "additionalProperties": {}}


def record_shapes(
    engine: MastraEngine,
    *,
    connections: Collection[str] = (),
    names: Collection[str] = (),
    sample: int = SAMPLE,
) -> dict[str, Schema]:
    """Return the shape of the data of all entities, or of those in `names`, by name.

    Entities with the same name in several connections share a shape. It is inferred from `sample`
    records in all, the latest of each entity. Raises EntityNotFound for a name that no connection
    has, and for a connection without entities.
    """
    count(sample, "/sample", least=1)
    entities = sorted(_entities(engine, connections), key=lambda entity: (entity.name, entity.id))
    shapes = {
        name: infer(_latest(engine, list(group), sample))
        for name, group in groupby(entities, key=lambda entity: entity.name)
        if not names or name in names
    }
    for name in names:
        if name not in shapes:
            raise EntityNotFound(name=name)
    for connection in connections:
        if not any(entity.connection_id == connection for entity in entities):
            raise EntityNotFound(f"The connection {quoted(connection)} has no entities")
    return shapes


def infer(documents: Iterable[dict[str, Any]]) -> Schema:
    """Return a JSON Schema of JSON objects; a key that all of them have is required.

    The order of the documents does not matter. Raises EngineConfigError without genson.
    """
    try:
        from genson import SchemaBuilder
    except ImportError as error:
        raise EngineConfigError("Shapes need django-mastra-engine[generate]") from error
    builder = SchemaBuilder(schema_uri=None)
    builder.add_schema({"type": "object"})
    for document in documents:
        builder.add_object(document)
    return _tidied(builder.to_schema())


def _entities(engine: MastraEngine, connections: Collection[str]) -> Iterator[Entity]:
    scopes: list[str | None] = [*connections] or [None]
    for connection in scopes:
        cursor: str | None = None
        while page := engine.list_entities(connection_id=connection, limit=1_000, cursor=cursor):
            yield from page
            cursor = page.next_cursor
            if cursor is None:
                break


def _latest(engine: MastraEngine, entities: list[Entity], sample: int) -> Iterator[dict[str, Any]]:
    """Yield `sample` documents in all, about the same number from each entity."""
    share = -(-sample // len(entities))
    for entity in entities[:sample]:
        records = engine.iter_records(
            entity_name=entity.name,
            connection_id=entity.connection_id,
            options={"sort": [{"field": "@rev", "direction": "desc"}], "limit": share},
        )
        for record in records:
            yield record.data


def _tidied(schema: Schema, levels: int = MOST_LEVELS) -> Schema:
    """Return the schema in a stable order, without parts too wide or too deep for a type."""
    if schema == {"type": "object"} or len(schema.get("properties", ())) > MOST_KEYS:
        return _DICTIONARY
    if levels == 0 and not schema.keys() <= {"type"}:
        return {}
    tidy = dict(schema)
    if "anyOf" in schema:
        options = (_tidied(option, levels) for option in schema["anyOf"])
        tidy["anyOf"] = sorted(options, key=json.dumps)
    if "items" in schema:
        tidy["items"] = _tidied(schema["items"], levels - 1)
    if "properties" in schema:
        # openapi-typescript cannot resolve schemas below a key with a percent sign.
        tidy["properties"] = {
            key: _tidied(value, 0 if "%" in key else levels - 1)
            for key, value in sorted(schema["properties"].items())
        }
    return tidy
