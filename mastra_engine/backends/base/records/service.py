"""Entities, their records, and the feed of changes to them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator
from collections.abc import Mapping as Map
from copy import copy
from dataclasses import replace
from datetime import datetime
from functools import partial
from math import inf
from typing import Any, Self, TypeVar, cast
from uuid import UUID

from asgiref.sync import sync_to_async

from mastra_engine.backends.base.paging import aiter_items
from mastra_engine.backends.base.records.changes import changes_of
from mastra_engine.backends.base.records.chunks import Chunks
from mastra_engine.backends.base.records.following import Follower, follow
from mastra_engine.backends.base.records.paging import ITER_PAGE, PAGE, iterate_pages, select_page
from mastra_engine.backends.base.records.store import EntityWriter, RecordStore
from mastra_engine.backends.base.records.syncs import SyncWrite
from mastra_engine.backends.base.scope import UNRESTRICTED, Scope, connection_in
from mastra_engine.exceptions import (
    AmbiguousEntity,
    EntityExists,
    EntityNotFound,
    InvalidInput,
    RecordNotFound,
)
from mastra_engine.filters.ast import RECORD_COLUMNS, Query
from mastra_engine.filters.cursors import decode, encode, fingerprint, page_of
from mastra_engine.filters.parsing import parse_optional_filter, parse_options
from mastra_engine.types import (
    UNSET,
    Change,
    Changes,
    Entity,
    Filters,
    Page,
    QueryOptions,
    Record,
    RecordLike,
    SyncMode,
    SyncResult,
    Unset,
    UpsertResult,
    WriteMode,
)
from mastra_engine.validation.inputs import (
    choice,
    count,
    delete_ratio,
    empty_allowed,
    moment,
    name,
    names,
    seconds,
    text,
    uuid,
)

R = TypeVar("R")
Options = QueryOptions | Map[str, Any]
#: Called after the commit of a change to records with the entity and its `rev` before the change.
CommitListener = Callable[[Entity, int], None]

logger = logging.getLogger("mastra_engine.records")


class Records:
    """Entities and records, reached as `engine.records` and by the engine's own methods.

    `after_commit` is the list of functions that are called after the commit of a change to
    records, in its order; one that raises is logged and does not keep the others from running.
    `before_deletion` are called in the transaction that deletes an entity, under its lock.
    """

    def __init__(
        self,
        store: RecordStore,
        *,
        after_commit: Iterable[CommitListener] = (),
        before_deletion: Iterable[Callable[[Entity], None]] = (),
    ) -> None:
        self.store = store
        self.after_commit = list(after_commit)
        self.before_deletion = list(before_deletion)
        self.scope = UNRESTRICTED

    def in_scope(self, scope: Scope) -> Self:
        """Return a copy of this service that is restricted to a scope's connections."""
        scoped = copy(self)
        scoped.scope = scope
        return scoped

    # Entities

    def create_entity(self, *, name: str, connection_id: str) -> Entity:
        """Create an entity; raises EntityExists if the connection already has one of that name."""
        entity, created = self.get_or_create_entity(name=name, connection_id=connection_id)
        if not created:
            raise EntityExists(name=name, connection_id=connection_id)
        return entity

    def get_or_create_entity(self, *, name: str, connection_id: str) -> tuple[Entity, bool]:
        """Return the entity, and whether this call created it.

        Of several simultaneous calls, exactly one creates the entity.
        """
        entity_name, connection = self._full_name(name, connection_id)
        return self.store.get_or_create_entity(entity_name, connection)

    def get_entity_by_id(self, *, id: UUID | str) -> Entity:
        """Return an entity; raises EntityNotFound."""
        return self._find(id, "/id")

    def get_entity(
        self, *, name: str | None = None, connection_id: str | None = None
    ) -> Entity | None:
        """Return the only entity that matches, or None; raises AmbiguousEntity for several."""
        if name is None and connection_id is None:
            raise InvalidInput("pass a name, a connection_id or both", path="/name")
        entities = self._list(_optional(name, "/name"), connection_id, limit=2)
        if len(entities) > 1:
            raise AmbiguousEntity(name=name, connection_id=connection_id)
        return entities[0] if entities else None

    def list_entities(
        self, *, connection_id: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[Entity]:
        """Return a page of entities, the oldest first."""
        limit = count(limit, "/limit")
        created_for = fingerprint("entities", connection_id)
        after = None
        if cursor is not None:
            created_at, id = decode(cursor, created_for, str, str)
            after = moment(created_at, "/cursor"), uuid(id, "/cursor")
        entities = self._list(None, connection_id, after=after, limit=limit + 1)
        return page_of(
            entities,
            limit,
            lambda entity: encode(created_for, entity.created_at.isoformat(), str(entity.id)),
        )

    def delete_entity_by_id(self, *, id: UUID | str) -> Entity:
        """Delete an entity and everything stored for it, and return it.

        Its records, the vectors made from them and its sync runs are deleted in the same
        transaction. Raises EntityNotFound.
        """

        def delete(writer: EntityWriter) -> Entity:
            for function in self.before_deletion:
                function(writer.entity)
            writer.delete_entity()
            return writer.entity

        return self.write(uuid(id, "/id"), delete)

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

        The entity is given by id, or by type and connection. `records` is read once, in chunks
        of 5,000; all chunks but the first are read within the transaction. Unchanged records are
        not written. An id that occurs again in a later chunk is counted again.

        Raises EntityNotFound, and InvalidInput with the position of an invalid record.
        """
        mode = cast(WriteMode, choice(mode, "/mode", "replace", "merge"))
        if entity_id is not None and (entity_type is not None or connection_id is not None):
            raise InvalidInput("excludes entity_type and connection_id", path="/entity_id")
        if entity_id is None:
            entity_name = name(entity_type, "/entity_type")
            connection = name(connection_id, "/connection_id")
            connection_in(self.scope, connection, name=entity_name)
        else:
            id = uuid(entity_id, "/entity_id")
        chunks = Chunks(records)

        def put_all(writer: EntityWriter) -> UpsertResult:
            merge = mode == "merge"
            results = (writer.put(chunk, merge=merge) for chunk in chunks.of(writer.entity.name))
            return sum(results, start=UpsertResult())

        repeatable = chunks.repeatable
        if entity_id is None:
            return self._write_named(entity_name, connection, put_all, repeatable=repeatable)
        return self.write(id, put_all, repeatable=repeatable)

    def get_records_by_entity_id(self, *, entity_id: UUID | str) -> list[Record]:
        """Return all records of an entity, ordered by `external_id`; raises EntityNotFound."""
        return self.store.select_records(self._find(entity_id, "/entity_id"), Query())

    def get_records_by_entity_name(self, *, name: str, connection_id: str) -> list[Record]:
        """Return all records of an entity, ordered by `external_id`; raises EntityNotFound."""
        entity = self._find_by_name(*self._full_name(name, connection_id))
        return self.store.select_records(entity, Query())

    def get_record(self, *, entity_id: UUID | str, external_id: str) -> Record:
        """Return a record; raises EntityNotFound or RecordNotFound."""
        id, key = uuid(entity_id, "/entity_id"), name(external_id, "/external_id")
        entity, record = self.store.find_record(id, key)
        connection_in(self.scope, entity.connection_id, id=entity.id)
        if record is None:
            raise RecordNotFound(external_id=key, entity_id=entity.id)
        return record

    def get_records(
        self, *, entity_name: str, connection_id: str, options: Options | None = None
    ) -> Page[Record]:
        """Return a page of records, at most 100 unless the options have another limit.

        It ends earlier with the record that reaches 8 MiB of JSON, or 8 MiB for
        each 1,000 records of a larger limit, unless the limit is None.
        Raises EntityNotFound, InvalidFilter, InvalidInput.
        """
        query = parse_options(options or QueryOptions(), limit=PAGE)
        read = partial(select_page, self.store, query=query)
        return self._read_named(entity_name, connection_id, read)

    def iter_records(
        self, *, entity_name: str, connection_id: str, options: Options | None = None
    ) -> Iterator[Record]:
        """Iterate over records in constant memory, reading 2,000 at a time.

        All records are read unless the options have a limit. Pages are divided by key, so no
        record is skipped or repeated while others write, but the pages are not one snapshot.
        Raises like get_records, when it is called.
        """
        query = parse_options(options or QueryOptions())
        full_name = self._full_name(entity_name, connection_id, "/entity_name")
        return iterate_pages(self.store, self._find_by_name(*full_name), query)

    async def aiter_records(
        self, *, entity_name: str, connection_id: str, options: Options | None = None
    ) -> AsyncIterator[Record]:
        """See iter_records()."""
        records = await sync_to_async(self.iter_records)(
            entity_name=entity_name, connection_id=connection_id, options=options
        )
        async for record in aiter_items(records, size=ITER_PAGE):
            yield record

    def count_records(
        self, *, entity_name: str, connection_id: str, filters: Filters | None = None
    ) -> int:
        """Return how many records match the filters; raises EntityNotFound, InvalidFilter."""
        where = parse_optional_filter(filters, path=("filters",), columns=RECORD_COLUMNS)
        read = partial(self.store.count_records, where=where)
        return self._read_named(entity_name, connection_id, read)

    def delete_records(self, *, entity_id: UUID | str, external_ids: Iterable[str]) -> int:
        """Replace records by tombstones in the change feed, and return how many were live."""
        ids = names(external_ids, "/external_ids")
        return self.write(uuid(entity_id, "/entity_id"), lambda writer: writer.delete(ids))

    def purge_deleted_records(self, *, entity_id: UUID | str, up_to_rev: int) -> int:
        """Delete tombstones up to a `rev` permanently, and return how many there were.

        Readers of the change feed that have not read them get CursorExpired.
        """
        rev = count(up_to_rev, "/up_to_rev")
        return self.write(uuid(entity_id, "/entity_id"), lambda writer: writer.purge(rev))

    # Syncs and the change feed

    def sync_records(
        self,
        *,
        name: str,
        connection_id: str,
        records: Iterable[RecordLike],
        last_sync_id: str | None = None,
        if_last_sync_id: str | Unset | None = UNSET,
        mode: SyncMode = "incremental",
        max_delete_ratio: float | None = None,
        allow_empty: bool = False,
    ) -> SyncResult:
        """Write records, deletions, the sync cursor and `rev` in one transaction.

        The entity is created if it does not exist. `mode="full"` takes `records` as the complete
        set: other live records become tombstones, unless they are more than `max_delete_ratio` (0
        to 1) of the live records, which raises SyncAborted. An iterator or a stream that ends
        without a record raises it too, unless `allow_empty` is true or no records are live; an
        empty list is taken as the complete set. `last_sync_id` is stored if it is not None.
        `if_last_sync_id` is compared with the stored cursor (None: none is stored), and a different
        one raises SyncConflict. After an exception, nothing has changed.
        """
        full = choice(mode, "/mode", "incremental", "full") == "full"
        ratio = delete_ratio(max_delete_ratio, full=full)
        empty = empty_allowed(allow_empty, full=full)
        cursor = None if last_sync_id is None else text(last_sync_id, "/last_sync_id")
        expected = if_last_sync_id
        if not (expected is None or isinstance(expected, Unset)):
            expected = text(expected, "/if_last_sync_id")
        entity_name, connection = self._full_name(name, connection_id)
        chunks = Chunks(records)
        sync = SyncWrite(
            chunks, expected=expected, cursor=cursor, full=full, ratio=ratio, allow_empty=empty
        )
        return self._write_named(
            entity_name, connection, sync.run, create=True, repeatable=chunks.repeatable
        )

    def get_changes(
        self, *, entity_id: UUID | str, after: int = 0, limit: int = 1000, purged: int = 0
    ) -> Changes:
        """Return records that changed after the `rev` `after`, in their latest state, by `rev`.

        A reader that continues with `after=changes.next` sees the final state of every record,
        whatever commits late. A reader that starts at 0 has nothing to forget; it passes
        `purged=changes.purged` of the page before, so that only later purges count.

        The changes end before `limit` when they have 8 MiB of JSON, or 8 MiB
        for each 1,000 of a larger limit; then `more` is true. Raises
        EntityNotFound, and CursorExpired if tombstones above `after` were purged, or if
        `after` is ahead of the entity's `rev`, as after a restore of an older backup.
        """
        after = count(after, "/after")
        limit = count(limit, "/limit", least=1)
        read_up_to = max(after, count(purged, "/purged"))
        id = uuid(entity_id, "/entity_id")
        feed = self.store.select_changes(id, after=after, limit=limit)
        connection_in(self.scope, feed.connection_id, id=id)
        return changes_of(feed, after=after, read_up_to=read_up_to)

    def follow_changes(
        self,
        *,
        entity_id: UUID | str,
        after: int = 0,
        poll: float = 5.0,
        timeout: float | None = None,
    ) -> Generator[Change]:
        """Iterate over changes like get_changes(), then wait for further ones.

        Continue with `after=change.rev`. Writers wake the iterator; it also polls every `poll`
        seconds, for poolers that do not pass on notifications. It ends if nothing has changed
        for `timeout` seconds: with 0 at the end of the feed, with None never. An unavailable
        database is retried for up to a minute.

        Raises EntityNotFound, when it is called or when the entity is deleted; CursorExpired if
        deletions that it has not read are purged or `after` is ahead of the entity; Unavailable.
        """
        return follow(self._follower(entity_id, after, poll, timeout))

    async def afollow_changes(
        self,
        *,
        entity_id: UUID | str,
        after: int = 0,
        poll: float = 5.0,
        timeout: float | None = None,
    ) -> AsyncGenerator[Change]:
        """See follow_changes()."""
        follower = await sync_to_async(self._follower)(entity_id, after, poll, timeout)
        try:
            while (changes := await sync_to_async(follower.read)()) is not None:
                for change in changes:
                    yield change
                await sync_to_async(self.store.release_connection)()
                await follower.async_wait()
        finally:
            await sync_to_async(follower.close)()

    # For other services

    def write(
        self, entity_id: UUID, operation: Callable[[EntityWriter], R], *, repeatable: bool = True
    ) -> R:
        """Call `operation` under the entity's lock, and the listeners after the commit.

        Raises EntityNotFound. Unless `repeatable`, the operation is called at most once.
        """
        return self.store.write(entity_id, partial(self._operate, operation), repeatable=repeatable)

    def select(self, entity: Entity, query: Query) -> list[Record]:
        """Return the records of an entity that a query selects."""
        return self.store.select_records(entity, query)

    # Steps

    def _write_named(
        self,
        name: str,
        connection_id: str,
        operation: Callable[[EntityWriter], R],
        *,
        create: bool = False,
        repeatable: bool,
    ) -> R:
        return self.store.write_named(
            name,
            connection_id,
            partial(self._operate, operation),
            create=create,
            repeatable=repeatable,
        )

    def _operate(self, operation: Callable[[EntityWriter], R], writer: EntityWriter) -> R:
        connection_in(self.scope, writer.entity.connection_id, id=writer.entity.id)
        result = operation(writer)
        before = writer.entity.rev
        if writer.rev > before:
            entity = replace(writer.entity, rev=writer.rev)
            self.store.after_commit(partial(self._announce, entity, before))
        return result

    def _announce(self, entity: Entity, before: int) -> None:
        """Call the listeners; the records are committed, so the writer must not get an error."""
        for listener in self.after_commit:
            try:
                listener(entity, before)
            except Exception:
                logger.exception(
                    "A listener failed after the commit of rev %s of the entity %s",
                    entity.rev,
                    entity.id,
                )

    def _find(self, id: UUID | str, path: str) -> Entity:
        entity = self.store.find_entity(uuid(id, path))
        connection_in(self.scope, entity.connection_id, id=entity.id)
        return entity

    def _list(
        self,
        name: str | None,
        connection_id: str | None,
        *,
        after: tuple[datetime, UUID] | None = None,
        limit: int,
    ) -> list[Entity]:
        return self.store.list_entities(
            name=name,
            connection_id=_optional(connection_id, "/connection_id"),
            connection_ids=self.scope.connection_ids,
            after=after,
            limit=limit,
        )

    def _read_named(self, name: str, connection_id: str, read: Callable[[Entity], R]) -> R:
        """Return the result of a read of an entity, which is not looked up if the store knows it.

        An entity that was deleted since has no records, so it is looked up if nothing was read.
        """
        entity_name, connection = self._full_name(name, connection_id, "/entity_name")
        known_entity = self.store.known_entity(entity_name, connection)
        if known_entity is None:
            return read(self._find_by_name(entity_name, connection))
        result = read(known_entity)
        if result:
            return result
        entity = self._find_by_name(entity_name, connection)
        return result if entity.id == known_entity.id else read(entity)

    def _full_name(
        self, entity_name: str, connection_id: str, path: str = "/name"
    ) -> tuple[str, str]:
        """Return the name and the connection of an entity, validated and in scope."""
        full_name = name(entity_name, path), name(connection_id, "/connection_id")
        connection_in(self.scope, full_name[1], name=full_name[0])
        return full_name

    def _find_by_name(self, name: str, connection_id: str) -> Entity:
        entity = self.store.find_named_entity(name, connection_id)
        if entity is None:
            raise EntityNotFound(name=name, connection_id=connection_id)
        return entity

    def _follower(
        self, entity_id: UUID | str, after: int, poll: float, timeout: float | None
    ) -> Follower:
        entity = self._find(entity_id, "/entity_id")
        return Follower(
            partial(self.get_changes, entity_id=entity.id),
            self.store.change_listener(entity.id),
            after=count(after, "/after"),
            poll=seconds(poll, "/poll", least=0.01),
            timeout=inf if timeout is None else seconds(timeout, "/timeout"),
        )


def _optional(value: str | None, path: str) -> str | None:
    return None if value is None else name(value, path)
