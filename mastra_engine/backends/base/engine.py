"""The engine: the public methods of its services in one place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, Self
from uuid import UUID

from asgiref.sync import sync_to_async

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.delegation import delegate
from mastra_engine.backends.base.erasure.service import ErasureService
from mastra_engine.backends.base.erasure.store import ErasureStore
from mastra_engine.backends.base.event_loop import refuse_in_event_loop
from mastra_engine.backends.base.export import exported
from mastra_engine.backends.base.facts.extraction import Extraction
from mastra_engine.backends.base.facts.service import Facts
from mastra_engine.backends.base.facts.store import FactStore
from mastra_engine.backends.base.idempotency.service import Idempotency
from mastra_engine.backends.base.idempotency.store import IdempotencyStore
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.paging import aiter_items
from mastra_engine.backends.base.record_search.service import RecordSearch
from mastra_engine.backends.base.record_search.store import IndexProgressStore
from mastra_engine.backends.base.records.service import Records
from mastra_engine.backends.base.records.store import RecordStore
from mastra_engine.backends.base.scope import UNRESTRICTED, narrow, resource_in
from mastra_engine.backends.base.state.service import State
from mastra_engine.backends.base.sync_runs.service import SyncRuns
from mastra_engine.backends.base.sync_runs.store import RunStore
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.protocols import FactExtractor, RunQueue
from mastra_engine.retrieval import evaluation
from mastra_engine.signals import facts_changed, records_changed
from mastra_engine.types import Entity, Evaluation
from mastra_engine.validation.inputs import name


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The stores of a backend: implementations of the ports that the services use."""

    records: RecordStore
    sync_runs: RunStore
    index_progress: IndexProgressStore
    facts: FactStore
    idempotency: IdempotencyStore
    erasure: ErasureStore


@refuse_in_event_loop
class MastraEngine(ABC):
    """An engine: entities, records and syncs by its own methods, with services for the rest.

    These are `memory`, `vectors`, `state` and `facts`.

    Arguments are keyword-only, returned values are frozen dataclasses, and every method has an
    async variant. The methods are those of the services `records`, `sync_runs`, `record_search`,
    `idempotency` and `erasure`. A subclass creates the stores and passes them to `__init__`.
    """

    #: The Django database that holds its tables, if any.
    database: str | None = None

    def __init__(
        self,
        stores: Stores,
        *,
        alias: str,
        vectors: Vectors,
        memory: Memory,
        state: State,
        sync_lease: float,
        sync_history: int,
        index_lease: float,
        fact_extractor: FactExtractor | None = None,
    ) -> None:
        self.alias = alias
        self.scope = UNRESTRICTED
        self.vectors = vectors
        self.memory = memory
        self.state = state
        # It reads records and writes none, so it needs no listeners. It could not have them: it
        # is one of them.
        reader = Records(stores.records)
        self.record_search = RecordSearch(
            stores.index_progress, records=reader, vectors=vectors, lease_seconds=index_lease
        )
        self.records = Records(
            stores.records,
            after_commit=[
                partial(_wake_followers, stores.records),
                partial(_send_record_signal, type(self), alias),
                self.record_search.index_changes,
            ],
            before_deletion=[self.record_search.delete_chunks],
        )
        self.sync_runs = SyncRuns(
            stores.sync_runs, self.records, lease_seconds=sync_lease, history=sync_history
        )
        self.idempotency = Idempotency(stores.idempotency)
        self.facts = self._new_facts(stores.facts, fact_extractor, lease=index_lease)
        self.erasure = ErasureService(
            stores.erasure,
            records=self.records,
            memory=memory,
            state=state,
            responses=stores.idempotency,
        )

    def _new_facts(
        self, store: FactStore, extractor: FactExtractor | None, *, lease: float
    ) -> Facts:
        """Return the service of facts, connected with that of memory in both directions."""
        context = self.memory.context
        extraction = Extraction(store, context.store, extractor=extractor, lease=lease)
        context.current_facts = store.list_current
        context.messages_saved = extraction.enqueue
        return Facts(
            store,
            self.vectors,
            self.idempotency,
            extraction,
            after_commit=[partial(_send_fact_signal, type(self), self.alias)],
        )

    @property
    def queue(self) -> RunQueue | None:
        """The queue that carries background work to workers; None performs it in this process."""
        return self.sync_runs.queue

    @queue.setter
    def queue(self, queue: RunQueue | None) -> None:
        self.sync_runs.queue = self.record_search.queue = queue
        self.memory.queue = self.state.index.queue = queue
        self.facts.index.queue = self.facts.extraction.queue = queue

    def within(
        self,
        *,
        resource_ids: Iterable[str] | None = None,
        connection_ids: Iterable[str] | None = None,
        namespaces: Iterable[str] | None = None,
    ) -> Self:
        """Return a copy of this engine with a narrower scope; other data is not found.

        `resource_ids` restricts memory, state and facts, `connection_ids` records, syncs and runs,
        `namespaces` vectors; None leaves that part of the scope unchanged. The scope of a
        restricted engine is narrowed to the intersection. Vector indexes are shared by all scopes:
        the scope does not decide who may create or delete them.
        """
        scoped = copy(self)
        scoped.scope = narrow(
            self.scope,
            resource_ids=resource_ids,
            connection_ids=connection_ids,
            namespaces=namespaces,
        )
        scoped.records = self.records.in_scope(scoped.scope)
        scoped.sync_runs = self.sync_runs.in_scope(scoped.scope)
        scoped.record_search = self.record_search.in_scope(scoped.scope)
        scoped.facts = self.facts.within(
            resource_ids=scoped.scope.resource_ids, connection_ids=scoped.scope.connection_ids
        )
        scoped.erasure = self.erasure.in_scope(scoped.scope)
        if scoped.scope.resource_ids is not None:
            scoped.memory = self.memory.within(resource_ids=scoped.scope.resource_ids)
            scoped.state = self.state.within(resource_ids=scoped.scope.resource_ids)
        if scoped.scope.namespaces is not None:
            scoped.vectors = self.vectors.within(namespaces=scoped.scope.namespaces)
        return scoped

    def __repr__(self) -> str:
        parts = [f"alias={self.alias!r}", *self._location()]
        parts += [
            f"{name}={sorted(values)!r}"
            for name in ("resource_ids", "connection_ids", "namespaces")
            if (values := getattr(self.scope, name)) is not None
        ]
        return f"<{type(self).__name__} {' '.join(parts)}>"

    def _location(self) -> list[str]:
        """Return the parts of `repr` that name where the data is stored."""
        return []

    @abstractmethod
    def close(self) -> None:
        """Release the resources that this engine holds in this thread; it can be used again."""

    def check(self) -> list[Any]:
        """Return Django system check messages about this engine's configuration."""
        return []

    def evaluate(
        self,
        cases: evaluation.Cases,
        *,
        search: evaluation.Search,
        k: Sequence[int] = (1, 5, 10),
    ) -> Evaluation:
        """Measure a search over labelled cases: recall@k, nDCG@k and MRR with 95 % intervals.

        `cases` are Case objects, dictionaries with their fields, or the path of a JSON Lines file.
        `search(query, *, top_k, filter=None)` returns ids or matches, the best first; it gets
        `filter`, `connection_id` and `resource_id` if the case has them. The rank of an id counts
        up to the largest k. Raises InvalidInput that names the case and the field, before the
        first search.
        """
        return evaluation.evaluate(cases, search=search, k=k)

    def export_resource(self, *, resource_id: str) -> Iterator[str]:
        """Return an iterator over everything of a resource as lines of JSON.

        Each line has a `kind`: "working_memory", "thread", which its working memory and its
        "message" lines follow, "state_item", and "fact" with its sources, for all versions. They
        are read in pages, not in one transaction: rows that are deleted meanwhile are left out.
        Raises NotFound for a resource out of scope at once, not while iterating.
        """
        owner = resource_in(self.scope, name(resource_id, "/resource_id"))
        return exported(owner, self.memory, self.state, self.facts)

    async def aexport_resource(self, *, resource_id: str) -> AsyncIterator[str]:
        """See export_resource()."""
        lines = await sync_to_async(self.export_resource)(resource_id=resource_id)
        async for line in aiter_items(lines):
            yield line

    # Entities and records

    create_entity = delegate("records", Records.create_entity)
    get_or_create_entity = delegate("records", Records.get_or_create_entity)
    get_entity_by_id = delegate("records", Records.get_entity_by_id)
    get_entity = delegate("records", Records.get_entity)
    list_entities = delegate("records", Records.list_entities)
    delete_entity_by_id = delegate("records", Records.delete_entity_by_id)
    upsert_records = delegate("records", Records.upsert_records)
    get_records_by_entity_id = delegate("records", Records.get_records_by_entity_id)
    get_records_by_entity_name = delegate("records", Records.get_records_by_entity_name)
    get_record = delegate("records", Records.get_record)
    get_records = delegate("records", Records.get_records)
    iter_records = delegate("records", Records.iter_records)
    aiter_records = delegate("records", Records.aiter_records)
    count_records = delegate("records", Records.count_records)
    delete_records = delegate("records", Records.delete_records)
    purge_deleted_records = delegate("records", Records.purge_deleted_records)
    sync_records = delegate("records", Records.sync_records)
    get_changes = delegate("records", Records.get_changes)
    follow_changes = delegate("records", Records.follow_changes)
    afollow_changes = delegate("records", Records.afollow_changes)

    # Declared syncs

    run_sync = delegate("sync_runs", SyncRuns.run_sync)
    enqueue_sync = delegate("sync_runs", SyncRuns.enqueue_sync)
    perform_sync_run = delegate("sync_runs", SyncRuns.perform_sync_run)
    list_sync_runs = delegate("sync_runs", SyncRuns.list_sync_runs)
    get_sync_run = delegate("sync_runs", SyncRuns.get_sync_run)
    list_sync_pages = delegate("sync_runs", SyncRuns.list_sync_pages)
    get_sync_log = delegate("sync_runs", SyncRuns.get_sync_log)
    cancel_sync_run = delegate("sync_runs", SyncRuns.cancel_sync_run)
    retry_sync_run = delegate("sync_runs", SyncRuns.retry_sync_run)
    list_syncs = delegate("sync_runs", SyncRuns.list_syncs)
    get_sync = delegate("sync_runs", SyncRuns.get_sync)
    pause_sync = delegate("sync_runs", SyncRuns.pause_sync)
    resume_sync = delegate("sync_runs", SyncRuns.resume_sync)
    reset_sync = delegate("sync_runs", SyncRuns.reset_sync)

    # Records in vector indexes

    search_records = delegate("record_search", RecordSearch.search_records)
    index_pending = delegate("record_search", RecordSearch.index_pending)
    list_indexings = delegate("record_search", RecordSearch.list_indexings)
    prepare_indexes = delegate("record_search", RecordSearch.prepare_indexes)

    # Idempotent calls and erasure

    run_idempotent = delegate("idempotency", Idempotency.run_idempotent)
    expire_idempotency_records = delegate("idempotency", Idempotency.expire_idempotency_records)
    erase = delegate("erasure", ErasureService.erase)
    vacuum = delegate("erasure", ErasureService.vacuum)

    # Async variants

    aevaluate = derive_async(evaluate)
    aclose = derive_async(close)
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
    acount_records = derive_async(count_records)
    adelete_records = derive_async(delete_records)
    apurge_deleted_records = derive_async(purge_deleted_records)
    async_records = derive_async(sync_records)
    aget_changes = derive_async(get_changes)
    arun_sync = derive_async(run_sync)
    aenqueue_sync = derive_async(enqueue_sync)
    aperform_sync_run = derive_async(perform_sync_run)
    alist_sync_runs = derive_async(list_sync_runs)
    aget_sync_run = derive_async(get_sync_run)
    alist_sync_pages = derive_async(list_sync_pages)
    aget_sync_log = derive_async(get_sync_log)
    acancel_sync_run = derive_async(cancel_sync_run)
    aretry_sync_run = derive_async(retry_sync_run)
    alist_syncs = derive_async(list_syncs)
    aget_sync = derive_async(get_sync)
    apause_sync = derive_async(pause_sync)
    aresume_sync = derive_async(resume_sync)
    areset_sync = derive_async(reset_sync)
    asearch_records = derive_async(search_records)
    aindex_pending = derive_async(index_pending)
    alist_indexings = derive_async(list_indexings)
    aprepare_indexes = derive_async(prepare_indexes)
    arun_idempotent = derive_async(run_idempotent)
    aexpire_idempotency_records = derive_async(expire_idempotency_records)
    aerase = derive_async(erase)
    avacuum = derive_async(vacuum)


def _wake_followers(store: RecordStore, entity: Entity, before: int) -> None:
    """Notify the followers of an entity; they also poll, so a failure delays them only."""
    store.wake_followers(entity.id)


def _send_record_signal(sender: type, alias: str, entity: Entity, before: int) -> None:
    """Send the signal `records_changed`; exceptions of receivers are logged by Django."""
    records_changed.send_robust(
        sender,
        alias=alias,
        entity_id=entity.id,
        entity_name=entity.name,
        connection_id=entity.connection_id,
        after=before,
        rev=entity.rev,
    )


def _send_fact_signal(sender: type, alias: str, resource_id: str, fact_ids: Sequence[UUID]) -> None:
    """Send the signal `facts_changed`; exceptions of receivers are logged by Django."""
    facts_changed.send_robust(sender, alias=alias, resource_id=resource_id, fact_ids=fact_ids)
