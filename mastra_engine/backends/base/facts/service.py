"""The facts that an agent has learned, with the times at which they were true and known."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from datetime import datetime
from functools import partial
from typing import Any, Self
from uuid import UUID

import orjson

from mastra_engine import failpoints
from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.event_loop import refuse_in_event_loop
from mastra_engine.backends.base.facts.answers import Answer
from mastra_engine.backends.base.facts.arguments import NewFact, limited_text, new_facts
from mastra_engine.backends.base.facts.claims import name_key
from mastra_engine.backends.base.facts.consolidation import Consolidation
from mastra_engine.backends.base.facts.extraction import Extraction
from mastra_engine.backends.base.facts.index import FactIndex, everything
from mastra_engine.backends.base.facts.paging import place_of, position_of, query_of
from mastra_engine.backends.base.facts.retractions import retract_claims
from mastra_engine.backends.base.facts.sources import lock_sources
from mastra_engine.backends.base.facts.store import FactSelection, FactStore
from mastra_engine.backends.base.facts.subjects import Subjects, claim_of, keys_of
from mastra_engine.backends.base.facts.versions import Versions
from mastra_engine.backends.base.idempotency.service import Idempotency
from mastra_engine.backends.base.scope import UNRESTRICTED, Scope, narrow, resource_in
from mastra_engine.backends.base.steps import Steps, in_steps
from mastra_engine.backends.base.vectors.search import (
    Instant,
    validated_query_text,
    vector_query,
)
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import EngineConfigError, FactNotFound
from mastra_engine.filters.cursors import encode
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.protocols import FactJudge
from mastra_engine.retrieval.embedding import require_embedder
from mastra_engine.types import (
    Fact,
    FactAction,
    FactChange,
    FactDuplicate,
    FactLike,
    FactMatch,
    FactSource,
    Page,
    VectorIndex,
)
from mastra_engine.validation.inputs import count, flag, moment, name, share, uuid

logger = logging.getLogger("mastra_engine")

#: Called after a commit with the resource, and the versions that were written or deleted.
CommitListener = Callable[[str, Sequence[UUID]], None]


@refuse_in_event_loop
class Facts:
    """Facts about resources, reached as `engine.facts`. Every method has an async variant.

    A claim is a subject and a predicate of a resource, such as "Anna" and "lives in". Its versions
    are the facts that were remembered of it, one after the other. Names that differ in case or in
    their form of Unicode are the same.
    """

    def __init__(
        self,
        store: FactStore,
        vectors: Vectors,
        idempotency: Idempotency,
        extraction: Extraction,
        *,
        after_commit: Iterable[CommitListener] = (),
    ) -> None:
        self.store = store
        self.vectors = vectors
        self.idempotency = idempotency
        self.extraction = extraction
        self.index = FactIndex(store, vectors)
        self.after_commit = list(after_commit)
        self.scope: Scope = UNRESTRICTED

    def __repr__(self) -> str:
        resources = self.scope.resource_ids
        scope = "" if resources is None else f" resource_ids={sorted(resources)!r}"
        return f"<{type(self).__name__}{scope}>"

    def within(
        self,
        *,
        resource_ids: Iterable[str] | None = None,
        connection_ids: Iterable[str] | None = None,
    ) -> Self:
        """Return these facts restricted to some resources, with sources of some connections.

        Others are not found. Restricting them again leaves those that are in both.
        """
        restricted = copy(self)
        restricted.scope = narrow(
            self.scope, resource_ids=resource_ids, connection_ids=connection_ids
        )
        return restricted

    @in_steps
    def remember(
        self,
        *,
        resource_id: str,
        facts: Iterable[FactLike],
        idempotency_key: str | None = None,
    ) -> Steps[list[Fact]]:
        """Remember up to 1,000 facts about a resource in one transaction; return them in order.

        A new object supersedes the current version of its claim. The new version also ends every
        other version of the claim that is valid after its `valid_from`, so that versions never
        overlap; an end that is earlier stays. With `many` the object belongs to the claim, so that
        objects do not supersede each other. The same object again adds its sources, its aliases
        and its pin to the current version, and makes no new one unless that has ended. A subject
        that is an alias of another subject of the resource stands for that one.

        A repeated call with the same `idempotency_key` returns the facts of the first one. Raises
        NotFound for a resource out of scope, MessageNotFound for a source that is another
        resource's message, RecordNotFound for one that is not a live record in scope,
        IdempotencyConflict, and InvalidInput; then nothing was written.
        """
        owner = resource_in(self.scope, name(resource_id, "/resource_id"))
        new = new_facts(facts)
        key = None if idempotency_key is None else name(idempotency_key, "/idempotency_key")
        alone = self._remember_alone(owner, new) if len(new) == 1 and key is None else None
        remembered = alone or self.store.transact(partial(self._remember_once, owner, new, key))
        yield from self.index.index_later([owner] if new else [])
        return remembered

    def list_facts(
        self,
        *,
        resource_id: str,
        subject: str | None = None,
        predicate: str | None = None,
        valid_at: datetime | str | None = None,
        known_at: datetime | str | None = None,
        include_superseded: bool = False,
        filter: Any = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Fact]:
        """Return a page of a resource's facts, ordered by the time at which they were remembered.

        These are the facts that were true at `valid_at` as far as was known at `known_at`; both
        default to now. A fact is known from `created_at` on, and the end that a supersession or
        retraction set, from then on. `include_superseded` returns all versions that were known,
        whatever their validity. `subject` may be an alias. `filter` applies to a document of
        `subject`, `predicate`, `object`, `confidence`, `aliases`, `pinned`, `many` and `reason`. A
        page ends before `limit` when it has 8 MiB of text.

        Raises NotFound for a resource out of scope, InvalidFilter and InvalidInput.
        """
        owner = resource_in(self.scope, name(resource_id, "/resource_id"))
        selection = FactSelection(
            resource_ids=frozenset([owner]),
            instant=_instant(valid_at, known_at, include_superseded),
            subject_keys=self._subject_keys(owner, subject),
            predicate_key=_optional_key(owner, predicate, "/predicate"),
            where=parse_optional_filter(filter),
        )
        size = count(limit, "/limit")
        after = None if cursor is None else position_of(cursor, query_of(selection))
        facts, has_more = self.store.list_facts(selection, after=after, limit=size)
        if not (facts and has_more):
            return Page(facts, None)
        return Page(facts, encode(query_of(selection), *place_of(facts[-1])))

    def get_fact(self, *, id: UUID | str) -> Fact:
        """Return a fact by its id; raise FactNotFound."""
        fact_id = uuid(id, "/id")
        fact = self.store.find([fact_id], resource_ids=self.scope.resource_ids).get(fact_id)
        if fact is None:
            raise FactNotFound(id=fact_id)
        return fact

    def history(self, *, id: UUID | str) -> list[Fact]:
        """Return all versions of a fact's claim, oldest first; raise FactNotFound."""
        versions = self.store.list_versions(self.get_fact(id=id).id)
        if not versions:
            raise FactNotFound(id=uuid(id, "/id"))
        return versions

    def retract(
        self, *, id: UUID | str, reason: str = "", at: datetime | str | None = None
    ) -> Fact:
        """End a fact that does not hold, and return it; it stays in the history.

        It was true up to `at`, now by default; before its `valid_from`, never. An end that is
        earlier stays. A fact that was retracted before is returned unchanged. Raises FactNotFound.
        """
        why = limited_text(reason, "/reason")
        end = None if at is None else moment(at, "/at")
        fact = self.get_fact(id=id)
        return self.store.transact(partial(self._retract, fact, why, end))

    def forget(self, *, id: UUID | str) -> int:
        """Erase a fact with all versions of its claim, their sources and vectors.

        Returns the number of versions. Raises FactNotFound.
        """
        fact = self.get_fact(id=id)

        def forget() -> int:
            self.store.lock_resource(fact.resource_id)
            ids = [version.id for version in self.history(id=fact.id)]
            self._announce(fact.resource_id, ids)
            return self.store.delete_versions(ids)

        return self.store.transact(forget)

    def sources(self, *, id: UUID | str) -> list[FactSource]:
        """Return the messages and records that a fact rests on, in the order of their addition.

        Raises FactNotFound.
        """
        fact_id = self.get_fact(id=id).id
        return list(self.store.list_sources([fact_id]).get(fact_id, ()))

    @in_steps
    def search(
        self,
        *,
        query: str,
        resource_id: str,
        valid_at: datetime | str | None = None,
        known_at: datetime | str | None = None,
        top_k: int = 10,
        min_score: float | None = None,
        filter: Any = None,
    ) -> Steps[list[FactMatch]]:
        """Return the `top_k` facts of a resource that answer a query best, the best first.

        `valid_at`, `known_at` and `filter` are those of list_facts(): by default the current facts
        are searched. The search is by meaning and by words, without an embedder by words alone.
        `min_score` is the least similarity of every result.

        Raises NotFound for a resource out of scope, InvalidFilter and InvalidInput.
        """
        owner = resource_in(self.scope, name(resource_id, "/resource_id"))
        selection = FactSelection(
            resource_ids=frozenset([owner]),
            instant=_instant(valid_at, known_at, False),
            where=parse_optional_filter(filter),
        )
        request = vector_query(
            query_text=validated_query_text(query, "/query"),
            top_k=top_k,
            filter=None,
            min_score=min_score,
            hybrid=True,
            explain=False,
        )
        numbers = yield from self.index.prepare_search(request, selection)
        matches = self.index.search(request, numbers, selection)[: request.limit]
        return self.index.with_facts(matches)

    # Extraction

    @in_steps
    def extract(self, *, thread_id: str) -> Steps[list[FactChange]]:
        """Have the FactExtractor read the unread messages of a thread, and return the changes.

        The extractor gets the messages oldest first, at most 50 at a time and about 128 KiB, with
        current facts about the resource. Its facts and retractions are stored in the transaction
        that records the messages as read. When it fails between two calls of the extractor, the
        changes of the earlier ones stay. If a worker reads the same messages at the same time, one
        of the two answers is stored.

        Raises EngineConfigError without FACT_EXTRACTOR, ThreadNotFound, the errors of the
        extractor, InvalidInput for an invalid part of its answer, and MessageNotFound for a source
        that is not one of the messages. Then nothing of that answer was stored, and its
        messages are unread.
        """
        return (yield from self._extract(name(thread_id, "/thread_id"), takeover=True))

    @in_steps
    def extract_pending(self, *, thread_id: str | None = None) -> Steps[int]:
        """Do as extract() for a thread, unless a worker is reading it; return how many changes.

        Without an argument these are all threads in scope with unread messages. A failure of one
        of them is logged, and its messages stay unread.
        """
        if thread_id is not None:
            id = name(thread_id, "/thread_id")
            return len((yield from self._extract(id, takeover=False)))
        changes, last = 0, ""
        while ids := self.extraction.list_unread(self.scope.resource_ids, after=last):
            for id in ids:
                try:
                    changes += len((yield from self._extract(id, takeover=False)))
                except EngineConfigError:
                    raise
                except Exception:
                    logger.exception("Messages of thread %s wait to be read for facts", id)
            last = ids[-1]
        return changes

    @in_steps
    def consolidate(
        self,
        *,
        resource_id: str,
        judge: FactJudge | None = None,
        min_score: float = 0.9,
        limit: int = 100,
    ) -> Steps[list[FactDuplicate]]:
        """Return pairs of current facts about a resource that are similar, the closest first.

        The `limit` facts that come first in context windows, at most 1,000, are compared with the
        five facts that are closest to each. `judge(fact, duplicate)` tells whether two facts state
        the same; without it nothing changes. A duplicate is retracted, and the other fact gets its
        sources and its pin; of two facts of which one has no sources, that one is kept. Each merge
        is a transaction of its own.

        Raises NotFound for a resource out of scope, InvalidInput, also without an embedder, and
        the errors of the judge; then earlier merges stay.
        """
        owner = resource_in(self.scope, name(resource_id, "/resource_id"))
        embedder = require_embedder(self.vectors.embedder, "/embedder")
        least = share(min_score, "/min_score")
        size = count(limit, "/limit", least=1, most=1_000)
        consolidation = Consolidation(self.store, self.index, self._write)
        return (yield from consolidation.run(owner, embedder, judge, min_score=least, limit=size))

    # The index

    @in_steps
    def index_pending(self) -> Steps[int]:
        """Index the facts in scope that wait for it, and return how many were indexed.

        When it fails between two batches, the earlier batches stay indexed.
        """
        return (yield from self.index.index(everything(self.scope.resource_ids)))

    @in_steps
    def reindex(self) -> Steps[int]:
        """Index all facts again, after a change of the embedder; return how many.

        Until it ends, searches find the facts that are indexed already.
        """
        return (yield from self.index.reindex(everything(None)))

    @in_steps
    def prepare_index(self) -> Steps[VectorIndex | None]:
        """Create the index of facts and return it; return None without an embedder.

        The index has the dimension of the embedder's vectors. `engine_migrate` calls this, so that
        a server's database role needs no right to create tables. Raises InvalidVector if the index
        has vectors of another model or dimension; reindex() replaces it.
        """
        return (yield from self.index.prepare())

    aremember = derive_async(remember)
    alist_facts = derive_async(list_facts)
    aget_fact = derive_async(get_fact)
    ahistory = derive_async(history)
    aretract = derive_async(retract)
    aforget = derive_async(forget)
    asources = derive_async(sources)
    asearch = derive_async(search)
    aextract = derive_async(extract)
    aextract_pending = derive_async(extract_pending)
    aconsolidate = derive_async(consolidate)
    aindex_pending = derive_async(index_pending)
    areindex = derive_async(reindex)
    aprepare_index = derive_async(prepare_index)

    # Steps

    def _remember_alone(self, resource_id: str, new: Sequence[NewFact]) -> list[Fact]:
        """Remember the only fact of a call, or nothing if the store has no shorter way for it."""
        (fact,) = new
        if fact.aliases:
            return []
        claim = claim_of(resource_id, name_key(resource_id, fact.subject), fact)
        remembered = self.store.remember_alone(
            resource_id, fact, claim, connection_ids=self.scope.connection_ids
        )
        if remembered is None:
            return []
        action, version, written = remembered
        if action != "unchanged" or fact.sources or fact.pinned:
            self._announce(resource_id, written)
        return [version]

    def _remember_once(
        self, resource_id: str, new: Sequence[NewFact], key: str | None
    ) -> list[Fact]:
        """Remember facts, or return those that the first call with the key remembered.

        The lock comes first, so that the second of two concurrent calls with one key waits.
        """
        now = self.store.lock_resource(resource_id)
        remember = partial(self._remember, resource_id, new, now)
        if key is None:
            return [fact for _, fact in remember()]
        response = self.idempotency.run_idempotent(
            owner=f"facts of {name_key(resource_id, '')}",  # a resource's id may be too long
            key=key,
            body=_body(new),
            act=lambda: orjson.dumps([fact.id for _, fact in remember()]),
        )
        ids = [UUID(id) for id in orjson.loads(response)]
        facts = self.store.find(ids, resource_ids=None)
        return [facts[id] for id in ids if id in facts]

    def _extract(self, thread_id: str, *, takeover: bool) -> Steps[list[FactChange]]:
        changes = yield from self.extraction.read(
            thread_id, self.scope.resource_ids, self._write_answer, takeover=takeover
        )
        resources = {change.fact.resource_id for change in changes}
        yield from self.index.index_later(sorted(resources))
        return changes

    def _write_answer(self, resource_id: str, answer: Answer, now: datetime) -> list[FactChange]:
        changes: list[tuple[FactAction, Fact]] = []
        if answer.retractions:
            versions = retract_claims(self.store, resource_id, answer.retractions, now)
            self._write(versions)
            changes += [("retracted", write.fact) for write in versions.writes()]
        changes += self._remember(resource_id, answer.facts, now)
        return [FactChange(action=action, fact=fact) for action, fact in changes]

    def _remember(
        self, resource_id: str, new: Sequence[NewFact], now: datetime
    ) -> list[tuple[FactAction, Fact]]:
        if not new:
            return []
        lock_sources(self.store, resource_id, new, connection_ids=self.scope.connection_ids)
        subjects = Subjects(resource_id, self.store.resolve(resource_id, keys_of(resource_id, new)))
        targets = [subjects.target_of(fact) for fact in new]
        earliest = min([now, *(fact.valid_from for fact in new if fact.valid_from)])
        stored = self.store.lock_versions(
            resource_id, {target.claim for target in targets}, valid_after=earliest
        )
        versions = Versions(resource_id, now, stored)
        results = [versions.remember(*pair) for pair in zip(new, targets, strict=True)]
        self._write(versions)
        return [(action, versions.facts[id]) for action, id in results]

    def _retract(self, fact: Fact, reason: str, at: datetime | None) -> Fact:
        now = self.store.lock_resource(fact.resource_id)
        stored = self.store.lock_version(fact.id)
        if stored is None:
            raise FactNotFound(id=fact.id)
        versions = Versions(fact.resource_id, now, [stored])
        if versions.retract(fact.id, reason, at):
            self._write(versions)
        return versions.facts[fact.id]

    def _write(self, versions: Versions) -> None:
        writes = versions.writes()
        self.store.write(writes)
        failpoints.hit("facts_written")
        if writes:
            self._announce(versions.resource_id, [write.fact.id for write in writes])

    def _announce(self, resource_id: str, ids: Sequence[UUID]) -> None:
        """Call the listeners after the commit of a change of versions."""
        for listener in self.after_commit:
            self.store.after_commit(partial(listener, resource_id, ids))

    def _subject_keys(self, resource_id: str, subject: str | None) -> frozenset[UUID] | None:
        """Return the key of a subject and, if it is an alias, that of its subject."""
        key = _optional_key(resource_id, subject, "/subject")
        if key is None:
            return None
        subjects = self.store.resolve(resource_id, {key})
        return frozenset({key, *(other.key for other in subjects.values())})


def _optional_key(resource_id: str, value: str | None, path: str) -> UUID | None:
    return None if value is None else name_key(resource_id, name(value, path))


def _instant(valid_at: Any, known_at: Any, include_superseded: Any) -> Instant:
    return Instant(
        valid_at=None if valid_at is None else moment(valid_at, "/valid_at"),
        known_at=None if known_at is None else moment(known_at, "/known_at"),
        all_versions=flag(include_superseded, "/include_superseded"),
    )


def _body(new: Sequence[NewFact]) -> bytes:
    """Return the JSON that tells whether two calls remember the same facts."""
    return orjson.dumps(new, option=orjson.OPT_SORT_KEYS)
