"""Erasing everything that is stored of a resource, a connection or a namespace."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Self

from mastra_engine.backends.base.erasure.store import ErasureStore
from mastra_engine.backends.base.facts.claims import FACT_INDEX
from mastra_engine.backends.base.idempotency.store import IdempotencyStore
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.records.service import Records
from mastra_engine.backends.base.scope import (
    UNRESTRICTED,
    Scope,
    connection_in,
    namespace_in,
    resource_in,
)
from mastra_engine.backends.base.state.service import State
from mastra_engine.exceptions import EntityNotFound, InvalidInput, Unavailable
from mastra_engine.types import Erasure
from mastra_engine.validation.inputs import name
from mastra_engine.validation.vectors import namespace_name

ENTITIES_PAGE = 100


class ErasureService:
    """Erasing by resource, connection or namespace, reached as `engine.erasure`."""

    def __init__(
        self,
        store: ErasureStore,
        *,
        records: Records,
        memory: Memory,
        state: State,
        responses: IdempotencyStore,
    ) -> None:
        self.store = store
        self.records = records
        self.memory = memory
        self.state = state
        self.responses = responses
        self.scope = UNRESTRICTED

    def in_scope(self, scope: Scope) -> Self:
        """Return a copy of this service that is restricted to a scope."""
        scoped = copy(self)
        scoped.scope = scope
        return scoped

    def erase(
        self,
        *,
        resource_id: str | None = None,
        connection_id: str | None = None,
        namespace: str | None = None,
        dry_run: bool = False,
    ) -> Erasure:
        """Delete everything of a resource, a connection or a namespace, and return the counts.

        Of a resource: threads, messages, working memory, agent state, facts, and the vectors of
        all. Of a connection: entities, records, their vectors, sync runs, and facts that rest on
        its records alone. Of all: the saved evaluation cases. Of a namespace: its vectors in every
        index, except those of messages, state, facts and records, which belong to a resource or a
        connection. Stored responses of idempotent calls are erased as well. The deletion is one
        transaction; afterwards the rows are counted again, and Unavailable is raised if new ones
        were written meanwhile: erase again. With `dry_run` nothing is deleted. The bytes stay in
        the tables until vacuum().
        """
        count, delete = self._subject(resource_id, connection_id, namespace)
        erasure = count()
        if dry_run:
            return erasure
        self.store.run(delete)
        if count() != Erasure():
            raise Unavailable("The data is being written at the same time; erase it again")
        return erasure

    def vacuum(self, *, full: bool = False) -> None:
        """Let the database overwrite deleted rows. Not within a transaction.

        Deleted bytes stay in a page until their space is used, and deleted words in the index for
        hybrid search. `full` rewrites tables and indexes without them; meanwhile no other session
        can use them. The write-ahead log and backups keep the bytes for as long as they are kept.
        """
        self.store.vacuum(full=full)

    def _subject(
        self, resource_id: str | None, connection_id: str | None, namespace: str | None
    ) -> tuple[Callable[[], Erasure], Callable[[], None]]:
        """Return the functions that count and delete the data of the one subject."""
        subjects = [resource_id, connection_id, namespace]
        if subjects.count(None) != len(subjects) - 1:
            message = "exactly one of resource_id, connection_id and namespace is required"
            raise InvalidInput(message, path="/resource_id")
        if namespace is not None:
            space = namespace_in(self.scope, namespace_name(namespace))
            return (
                partial(self.store.count_namespace, space),
                partial(self._delete_namespace, space),
            )
        if resource_id is not None:
            id = resource_in(self.scope, name(resource_id, "/resource_id"))
            indexes = self.memory.index_name, self.state.index.name, FACT_INDEX
            return (
                partial(self.store.count_resource, id, indexes=indexes),
                partial(self._delete_resource, id),
            )
        id = connection_in(self.scope, name(connection_id, "/connection_id"))
        return partial(self.store.count_connection, id), partial(self._delete_connection, id)

    def _delete_resource(self, resource_id: str) -> None:
        self.store.delete_resource(resource_id)
        self.memory.message_index.delete_resource(resource_id)
        self.state.index.delete_resource(resource_id)
        self.responses.erase_responses()

    def _delete_namespace(self, namespace: str) -> None:
        self.store.delete_namespace(namespace)
        self.responses.erase_responses()

    def _delete_connection(self, connection_id: str) -> None:
        entities, last = [], None
        while page := self.records.list_entities(
            connection_id=connection_id, limit=ENTITIES_PAGE, cursor=last
        ):
            entities += page.items
            last = page.next_cursor
            if last is None:
                break
        for entity in entities:
            with suppress(EntityNotFound):  # another process deleted it since
                self.records.delete_entity_by_id(id=entity.id)
        self.store.delete_evaluation_cases(connection_id)
        self.responses.erase_responses()
