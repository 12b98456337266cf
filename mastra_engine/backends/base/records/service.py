"""The contract of entities and records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.records.writer import Chunks, EntityWriter
from mastra_engine.exceptions import (
    AmbiguousEntity,
    EntityExists,
    EntityNotFound,
    InvalidFilter,
    InvalidInput,
    RecordNotFound,
)
from mastra_engine.filters.ast import Equals, Field, Query
from mastra_engine.filters.cursors import (
    Position,
    decode,
    decode_position,
    encode,
    encode_position,
    fingerprint,
    page_of,
    position_of,
)
from mastra_engine.filters.parsing import parse_options
from mastra_engine.types import (
    Entity,
    Page,
    QueryOptions,
    Record,
    RecordLike,
    UpsertResult,
    WriteMode,
)
from mastra_engine.validation.inputs import choice, count, full_name, name, names, uuid

R = TypeVar("R")
Options = QueryOptions | Mapping[str, Any]

ITER_PAGE = 2_000


class RecordsContract(ABC):
    """Entities and the records in them."""

    #: The connections this engine is confined to; None for all.
    connection_ids: frozenset[str] | None = None

    # Entities

    def create_entity(self, *, name: str, connection_id: str) -> Entity:
        """Create an entity; raises EntityExists when the connection has one of that name."""
        entity, created = self.get_or_create_entity(name=name, connection_id=connection_id)
        if not created:
            raise EntityExists(f"Connection {connection_id!r} already has an entity {name!r}")
        return entity

    def get_or_create_entity(self, *, name: str, connection_id: str) -> tuple[Entity, bool]:
        """Return the entity and whether this call made it; of many at once, one does."""
        entity_name, connection = full_name(name, connection_id)
        return self._get_or_create_entity(entity_name, self._own_connection(connection))

    def get_entity_by_id(self, *, id: UUID | str) -> Entity:
        """Return an entity; raises EntityNotFound."""
        return self._get_entity(uuid(id, "/id"))

    def get_entity(
        self, *, name: str | None = None, connection_id: str | None = None
    ) -> Entity | None:
        """Return the one entity that matches, or None; raises AmbiguousEntity for several."""
        if name is None and connection_id is None:
            raise InvalidInput("name a name, a connection_id or both", path="/name")
        found = self._list_entities(*_partial_name(name, connection_id), after=None, limit=2)
        if len(found) > 1:
            raise AmbiguousEntity
        return found[0] if found else None

    def list_entities(
        self, *, connection_id: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[Entity]:
        """Return a page of entities, oldest first."""
        limit = count(limit, "/limit")
        made_by = fingerprint("entities", connection_id)
        after = None if cursor is None else uuid(decode(cursor, made_by, str)[0], "/cursor")
        found = self._list_entities(
            *_partial_name(None, connection_id), after=after, limit=limit + 1
        )
        return page_of(found, limit, lambda entity: encode(made_by, str(entity.id)))

    def delete_entity_by_id(self, *, id: UUID | str) -> Entity:
        """Delete an entity with all that hangs on it, and return it; raises EntityNotFound."""
        return self._delete_entity(uuid(id, "/id"))

    # Records

    def upsert_records(
        self,
        *,
        records: Iterable[RecordLike],
        entity_id: UUID | str | None = None,
        entity_type: str | None = None,
        connection_id: str | None = None,
        mode: WriteMode = "replace",
    ) -> UpsertResult:
        """Insert or update records, all or none; `mode="merge"` merges top-level keys.

        The entity is named by id, or by type and connection. `records` is read once, in chunks
        of 5,000, within the transaction beyond the first. A record that is as given is not
        written. An id that occurs again in a later chunk is counted again.

        Raises EntityNotFound, and InvalidInput that names the position of a bad record.
        """
        choice(mode, "/mode", "replace", "merge")
        entity = self._target(entity_id, entity_type, connection_id)
        chunks = Chunks(records, entity_type=entity.name)

        def put_all(writer: EntityWriter) -> UpsertResult:
            results = (writer.put(chunk, merge=mode == "merge") for chunk in chunks)
            return sum(results, start=UpsertResult())

        return self._write(entity.id, put_all, repeatable=chunks.repeatable)

    def get_records_by_entity_id(self, *, entity_id: UUID | str) -> list[Record]:
        """Return all records of an entity by `external_id`; raises EntityNotFound."""
        return self._select_records(self._get_entity(uuid(entity_id, "/entity_id")), Query())

    def get_records_by_entity_name(self, *, name: str, connection_id: str) -> list[Record]:
        """Return all records of an entity by `external_id`; raises EntityNotFound."""
        return self._select_records(self._named_entity(name, connection_id), Query())

    def get_record(self, *, entity_id: UUID | str, external_id: str) -> Record:
        """Return a record; raises EntityNotFound or RecordNotFound."""
        entity = self._get_entity(uuid(entity_id, "/entity_id"))
        wanted = Equals(Field(column="external_id"), (name(external_id, "/external_id"),))
        found = self._select_records(entity, Query(where=wanted))
        if not found:
            raise RecordNotFound
        return found[0]

    def get_records(
        self, *, entity_name: str, connection_id: str, options: Options | None = None
    ) -> Page[Record]:
        """Return a page of records; raises EntityNotFound, InvalidFilter, InvalidInput."""
        query = parse_options(options or QueryOptions())
        return self._page(self._named_entity(entity_name, connection_id), query)

    def iter_records(
        self, *, entity_name: str, connection_id: str, options: Options | None = None
    ) -> Iterator[Record]:
        """Iterate over records in flat memory, a page of 2,000 at a time.

        Pages are cut by key, so that nothing is skipped or repeated while others write, but they
        are not one snapshot. Raises like get_records, at once.
        """
        query = parse_options(options or QueryOptions())
        return self._walk(self._named_entity(entity_name, connection_id), query)

    async def aiter_records(
        self, *, entity_name: str, connection_id: str, options: Options | None = None
    ) -> AsyncIterator[Record]:
        """See iter_records()."""
        records = await sync_to_async(self.iter_records)(
            entity_name=entity_name, connection_id=connection_id, options=options
        )
        while batch := await sync_to_async(lambda: list(islice(records, ITER_PAGE)))():
            for record in batch:
                yield record

    def delete_records(self, *, entity_id: UUID | str, external_ids: Iterable[str]) -> int:
        """Make tombstones of records, which the change feed shows; return how many there were."""
        wanted = names(external_ids, "/external_ids")
        return self._write(uuid(entity_id, "/entity_id"), lambda writer: writer.delete(wanted))

    def purge_deleted_records(self, *, entity_id: UUID | str, up_to_rev: int) -> int:
        """Remove tombstones up to a `rev` for good; readers behind it get CursorExpired."""
        rev = count(up_to_rev, "/up_to_rev")
        return self._write(uuid(entity_id, "/entity_id"), lambda writer: writer.purge(rev))

    acreate_entity = derive_async(create_entity)
    aget_or_create_entity = derive_async(get_or_create_entity)
    aget_entity_by_id = derive_async(get_entity_by_id)
    aget_entity = derive_async(get_entity)
    alist_entities = derive_async(list_entities)
    adelete_entity_by_id = derive_async(delete_entity_by_id)
    aupsert_records = derive_async(upsert_records)
    aget_records_by_entity_id = derive_async(get_records_by_entity_id)
    aget_records_by_entity_name = derive_async(get_records_by_entity_name)
    aget_record = derive_async(get_record)
    aget_records = derive_async(get_records)
    adelete_records = derive_async(delete_records)
    apurge_deleted_records = derive_async(purge_deleted_records)

    # What a backend implements

    @abstractmethod
    def _get_or_create_entity(self, name: str, connection_id: str) -> tuple[Entity, bool]: ...

    @abstractmethod
    def _get_entity(self, id: UUID) -> Entity:
        """Raise EntityNotFound on a miss."""

    @abstractmethod
    def _list_entities(
        self, name: str | None, connection_id: str | None, *, after: UUID | None, limit: int
    ) -> list[Entity]:
        """Return those that match whatever is given, by id."""

    @abstractmethod
    def _delete_entity(self, id: UUID) -> Entity: ...

    @abstractmethod
    def _select_records(
        self, entity: Entity, query: Query, after: Position | None = None
    ) -> list[Record]:
        """Return live records in the query's order, then by `external_id`; ignore its cursor."""

    @abstractmethod
    def _write(
        self, entity_id: UUID, operation: Callable[[EntityWriter], R], *, repeatable: bool = True
    ) -> R:
        """Run `operation` under the entity's lock in one transaction; EntityNotFound on a miss.

        Unless `repeatable`, the operation may be run only once.
        """

    @abstractmethod
    def _after_commit(self, act: Callable[[], None]) -> None:
        """Act once what was written is there for others, at once if it is."""

    # Shared steps

    def _own_connection(self, connection_id: str) -> str:
        """Return a connection that is within reach; what any other has is not there."""
        if self.connection_ids is not None and connection_id not in self.connection_ids:
            raise EntityNotFound
        return connection_id

    def _operate(self, writer: EntityWriter, operation: Callable[[EntityWriter], R]) -> R:
        """Run an operation, and tell if it changed records, once that is committed."""
        result = operation(writer)
        after = writer.entity.rev
        if writer.rev > after:
            entity = replace(writer.entity, rev=writer.rev)
            self._after_commit(lambda: self._changed(entity, after))
        return result

    @abstractmethod
    def _changed(self, entity: Entity, after: int) -> None:
        """Do what follows the commit of a change to an entity's records; raise nothing."""

    def _named_entity(self, name: str, connection_id: str) -> Entity:
        found = self._list_entities(*full_name(name, connection_id), after=None, limit=1)
        if not found:
            raise EntityNotFound
        return found[0]

    def _target(
        self, entity_id: UUID | str | None, entity_type: str | None, connection_id: str | None
    ) -> Entity:
        if entity_id is None:
            return self._named_entity(
                name(entity_type, "/entity_type"), name(connection_id, "/connection_id")
            )
        if entity_type is not None or connection_id is not None:
            raise InvalidInput("excludes entity_type and connection_id", path="/entity_id")
        return self._get_entity(uuid(entity_id, "/entity_id"))

    def _page(self, entity: Entity, query: Query) -> Page[Record]:
        made_by = fingerprint(entity.id, query.where, query.sort)
        after = None
        if query.cursor is not None:
            try:
                after = decode_position(query.cursor, made_by, query.sort)
            except InvalidInput as error:  # what else is wrong with the options is one, too
                raise InvalidFilter(error.message, path=f"/options{error.path}") from None
        if query.limit is None:
            return Page(self._select_records(entity, query, after))
        found = self._select_records(entity, replace(query, limit=query.limit + 1), after)
        return page_of(
            found,
            query.limit,
            lambda record: encode_position(made_by, position_of(record, query.sort)),
        )

    def _walk(self, entity: Entity, query: Query) -> Iterator[Record]:
        left = query.limit
        while left is None or left > 0:
            size = ITER_PAGE if left is None else min(left, ITER_PAGE)
            page = self._page(entity, replace(query, limit=size))
            yield from page
            if page.next_cursor is None:
                return
            left = None if left is None else left - len(page)
            query = replace(query, cursor=page.next_cursor, offset=0)


def _partial_name(given: str | None, connection_id: str | None) -> tuple[str | None, str | None]:
    return (
        None if given is None else name(given, "/name"),
        None if connection_id is None else name(connection_id, "/connection_id"),
    )
