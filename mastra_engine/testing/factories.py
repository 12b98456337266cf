"""Factories for test data, with factory-boy, over any engine.

`create()` and `create_batch()` write to an engine and return the stored value; `build()` returns
the input alone. The engine is the default one unless `engine` is passed. A batch is one write.

Requires the extra `testing`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import mastra_engine
from mastra_engine.backends.base import MastraEngine
from mastra_engine.optional_deps import require
from mastra_engine.types import (
    Entity,
    Message,
    MessageInput,
    Record,
    RecordInput,
    StateItem,
    StoredVector,
    Thread,
)

require("testing", "factory", by="mastra_engine.testing.factories")

import factory  # noqa: E402 - the check before it names the extra

T = TypeVar("T")


class EngineFactory(factory.Factory[T], Generic[T]):
    """The base of factories that write to an engine.

    Attributes in `_destination` say where to write, and are not part of the built input.
    """

    class Meta:
        abstract = True

    engine = factory.LazyFunction(lambda: mastra_engine.engine)

    _destination: tuple[str, ...] = ("engine",)

    @classmethod
    def create_batch(cls, size: int, **kwargs: Any) -> list[T]:
        """Write `size` objects at once; they share the destination of the first."""
        rows: list[Any] = [cls.build(as_row=True, **kwargs) for _ in range(size)]
        return cls.write(rows) if rows else []

    @classmethod
    def write(cls, rows: list[dict[str, Any]]) -> list[T]:
        """Write rows of attributes to the engine and return the stored objects."""
        raise NotImplementedError

    @classmethod
    def _create(cls, model_class: type[Any], *args: Any, **kwargs: Any) -> T:
        (stored,) = cls.write([kwargs])
        return stored

    @classmethod
    def _build(cls, model_class: type[Any], *args: Any, **kwargs: Any) -> Any:
        if kwargs.pop("as_row", False):  # A batch needs the destination as well.
            return kwargs
        return model_class(**cls.input_fields(kwargs))

    @classmethod
    def input_fields(cls, row: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes of a row without its destination."""
        return {key: row[key] for key in row if key not in cls._destination}


class EntityFactory(EngineFactory[Entity]):
    """Creates entities; `build()` returns the arguments of `create_entity`."""

    class Meta:
        model = dict

    name = factory.Sequence("Entity {}".format)
    connection_id = "connection"

    @classmethod
    def write(cls, rows: list[dict[str, Any]]) -> list[Entity]:
        """Create an entity for each row."""
        return [row["engine"].create_entity(**cls.input_fields(row)) for row in rows]


class RecordFactory(EngineFactory[Record]):
    """Creates records of an entity, which is created if it does not exist.

    `tombstone=True` deletes them again and returns the tombstones of the change feed. Pass
    `entity` to write to an existing one, or `entity_name` and `connection_id`.
    """

    class Meta:
        model = RecordInput

    class Params:
        entity = None
        tombstone = factory.Trait(is_deleted=True)

    _destination = ("engine", "entity_name", "connection_id", "is_deleted")

    external_id = factory.Sequence("record-{}".format)
    data = factory.Dict({"name": factory.Faker("name")})
    entity_type = None
    entity_name = factory.LazyAttribute(lambda row: row.entity.name if row.entity else "Records")
    connection_id = factory.LazyAttribute(
        lambda row: row.entity.connection_id if row.entity else "connection"
    )
    is_deleted = False

    @classmethod
    def write(cls, rows: list[dict[str, Any]]) -> list[Record]:
        """Store the records in one sync, and delete them in one call if they are tombstones."""
        engine: MastraEngine = rows[0]["engine"]
        name, connection_id = rows[0]["entity_name"], rows[0]["connection_id"]
        records = [RecordInput(**cls.input_fields(row)) for row in rows]
        engine.sync_records(name=name, connection_id=connection_id, records=records)
        entity, _ = engine.get_or_create_entity(name=name, connection_id=connection_id)
        ids = [record.external_id for record in records]
        if not rows[0]["is_deleted"]:
            return [engine.get_record(entity_id=entity.id, external_id=id) for id in ids]
        engine.delete_records(entity_id=entity.id, external_ids=ids)
        changes = engine.get_changes(entity_id=entity.id, after=entity.rev, limit=len(ids))
        tombstones = {change.record.external_id: change.record for change in changes.items}
        return [tombstones[id] for id in ids]


class ThreadFactory(EngineFactory[Thread]):
    """Creates threads; `build()` returns the arguments of `create_thread`."""

    class Meta:
        model = dict

    thread_id = factory.Sequence("thread-{}".format)
    resource_id = "resource"
    title = factory.Faker("sentence", nb_words=3)
    metadata = factory.Dict({})

    @classmethod
    def write(cls, rows: list[dict[str, Any]]) -> list[Thread]:
        """Create a thread for each row."""
        return [row["engine"].memory.create_thread(**cls.input_fields(row)) for row in rows]


class MessageFactory(EngineFactory[Message]):
    """Appends messages to a thread, which is created if it does not exist.

    `tool_call=True` calls a tool, and `tool_result=True` answers the call with the same `call_id`.
    Pass `thread` to write to an existing one, or `thread_id` and `resource_id`.
    """

    class Meta:
        model = MessageInput

    class Params:
        thread = None
        call_id = "call"
        tool_name = "tool"
        arguments = factory.Dict({})
        tool_call = factory.Trait(
            role="assistant",
            content=factory.LazyAttribute(
                lambda row: [
                    {
                        "type": "tool-call",
                        "tool_call_id": row.call_id,
                        "tool_name": row.tool_name,
                        "args": row.arguments,
                    }
                ]
            ),
        )
        tool_result = factory.Trait(
            role="tool", tool_call_id=factory.LazyAttribute(lambda row: row.call_id)
        )

    _destination = ("engine", "thread_id", "resource_id")

    role = "user"
    content = factory.Faker("sentence")
    id = None
    tool_call_id = None
    metadata = factory.Dict({})
    created_at = None
    thread_id = factory.LazyAttribute(lambda row: row.thread.id if row.thread else "thread")
    resource_id = factory.LazyAttribute(
        lambda row: row.thread.resource_id if row.thread else "resource"
    )

    @classmethod
    def write(cls, rows: list[dict[str, Any]]) -> list[Message]:
        """Append the messages in one call."""
        engine: MastraEngine = rows[0]["engine"]
        return engine.memory.save_memory(
            thread_id=rows[0]["thread_id"],
            resource_id=rows[0]["resource_id"],
            messages=[MessageInput(**cls.input_fields(row)) for row in rows],
        )


class StateItemFactory(EngineFactory[StateItem]):
    """Puts items of agent state; `build()` returns the arguments of `state.put`."""

    class Meta:
        model = dict

    namespace = ("resource", "state")
    key = factory.Sequence("key-{}".format)
    value = factory.Dict({"name": factory.Faker("name")})
    index = None
    expires_in = None

    @classmethod
    def write(cls, rows: list[dict[str, Any]]) -> list[StateItem]:
        """Put the items in one batch."""
        operations = [{"op": "put", **cls.input_fields(row)} for row in rows]
        items: list[StateItem] = rows[0]["engine"].state.batch(operations=operations)
        return items


class VectorFactory(EngineFactory[StoredVector]):
    """Stores vectors in an index, which is created with their dimension if it does not exist.

    `build()` returns a dict of the vector, its id, its metadata and its document.
    """

    class Meta:
        model = dict

    class Params:
        dimension = 8

    _destination = ("engine", "index_name", "namespace")

    id = factory.Sequence("vector-{}".format)
    vector = factory.LazyAttribute(lambda row: _direction(row.dimension))
    metadata = factory.Dict({})
    document = ""
    index_name = "vectors"
    namespace = ""

    @classmethod
    def write(cls, rows: list[dict[str, Any]]) -> list[StoredVector]:
        """Upsert the vectors in one call."""
        engine: MastraEngine = rows[0]["engine"]
        index_name, namespace = rows[0]["index_name"], rows[0]["namespace"]
        if index_name not in {index.name for index in engine.vectors.list_indexes()}:
            engine.vectors.create_index(
                index_name=index_name, dimension=len(rows[0]["vector"]), index_type="flat"
            )
        ids = engine.vectors.upsert(
            index_name=index_name,
            namespace=namespace,
            ids=[row["id"] for row in rows],
            vectors=[row["vector"] for row in rows],
            metadata=[row["metadata"] for row in rows],
            documents=[row["document"] for row in rows],
        )
        return engine.vectors.get_vectors(index_name=index_name, namespace=namespace, ids=ids)


def _direction(dimension: int) -> Sequence[float]:
    """Return a random vector; indexes compare directions."""
    return [random.gauss(0, 1) for _ in range(dimension)]
