"""Agent state: JSON documents that an agent keeps by namespace and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from datetime import timedelta
from functools import partial
from typing import Any, Self
from uuid import UUID

from mastra_engine import failpoints
from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.event_loop import refuse_in_event_loop
from mastra_engine.backends.base.scope import UNRESTRICTED, Scope, narrow
from mastra_engine.backends.base.state.arguments import checked_change, own_namespace
from mastra_engine.backends.base.state.batch import Operation, checked_operations
from mastra_engine.backends.base.state.index import StateIndex
from mastra_engine.backends.base.state.listing import (
    ItemList,
    NamespaceList,
    StateSearch,
    item_list,
    namespace_list,
    state_search,
)
from mastra_engine.backends.base.state.store import (
    ItemKey,
    StateChange,
    StateSelection,
    StateStore,
    WrittenItem,
)
from mastra_engine.backends.base.steps import Steps, in_steps
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import InvalidInput, VersionConflict, quoted
from mastra_engine.types import Match, Page, StateItem, StateMatch, VectorIndex
from mastra_engine.validation.inputs import name

#: Expired items that are deleted by one transaction.
EXPIRE_PAGE = 1_000

Outcomes = dict[ItemKey, WrittenItem | None]


@refuse_in_event_loop
class State:
    """Agent state, reached as `engine.state`. Every method has an async variant.

    A namespace is a tuple of 1 to 16 texts. Its first element is the owner, such as a user: the
    scope of an engine and an erasure of a resource go by it.
    """

    def __init__(self, store: StateStore, vectors: Vectors) -> None:
        self.store = store
        self.vectors = vectors
        self.index = StateIndex(store, vectors)
        self.scope: Scope = UNRESTRICTED

    def __repr__(self) -> str:
        embedder = self.vectors.embedder
        name = "None" if embedder is None else type(embedder).__name__
        resources = self.scope.resource_ids
        scope = "" if resources is None else f" resource_ids={sorted(resources)!r}"
        return f"<{type(self).__name__} index={self.index.name!r} embedder={name}{scope}>"

    def within(self, *, resource_ids: Iterable[str]) -> Self:
        """Return this state restricted to namespaces that begin with one of some resources.

        Others are not found. Restricting it again leaves the resources that are in both.
        """
        restricted = copy(self)
        restricted.scope = narrow(self.scope, resource_ids=resource_ids)
        return restricted

    # Items

    @in_steps
    def put(
        self,
        *,
        namespace: Sequence[str],
        key: str,
        value: Mapping[str, Any],
        if_version: int | None = None,
        expires_in: float | timedelta | None = None,
        index: Sequence[str] | bool | None = None,
    ) -> Steps[StateItem]:
        """Create or replace the item of a namespace and key, and return it.

        `if_version` is the version that the item must have, 0 if it must not exist. `expires_in`
        is its lifetime, in seconds or as a timedelta; without it the item does not expire. `index`
        are the paths of the texts that searches cover, such as `title`, `a.b` or `parts[*].text`:
        None stands for every text, False for none.

        Raises VersionConflict, and NotFound for a namespace out of scope.
        """
        change = checked_change(
            self.scope,
            namespace=namespace,
            key=key,
            value=value,
            if_version=if_version,
            expires_in=expires_in,
            index=index,
        )
        written = yield from self._write(change)
        item = None if written is None else written.item
        assert item is not None
        return item

    def get(self, *, namespace: Sequence[str], key: str) -> StateItem | None:
        """Return the item of a namespace and key, or None if it does not exist.

        Raises NotFound for a namespace out of scope.
        """
        return self._find((own_namespace(namespace, self.scope), name(key, "/key")))

    @in_steps
    def delete(
        self, *, namespace: Sequence[str], key: str, if_version: int | None = None
    ) -> Steps[bool]:
        """Delete the item of a namespace and key; return whether it existed.

        `if_version` is the version that it must have. Raises VersionConflict, and NotFound for a
        namespace out of scope.
        """
        change = checked_change(self.scope, namespace=namespace, key=key, if_version=if_version)
        return (yield from self._write(change)) is not None

    def renew(self, *, namespace: Sequence[str], key: str) -> bool:
        """Let an item live as long from now on as its last put said; return whether it expires.

        Its version and its times of writing stay. It may be left as it is if another process writes
        it meanwhile. Raises NotFound for a namespace out of scope.
        """
        place = own_namespace(namespace, self.scope), name(key, "/key")
        return bool(self.store.transact(partial(self.store.renew, [place]), single=True))

    def list_items(
        self,
        *,
        namespace_prefix: Sequence[str],
        filter: Any = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[StateItem]:
        """Return a page of the items in all namespaces that begin with a prefix.

        They are ordered by namespace and key. `()` stands for everything in scope; `filter` applies
        to the values. A page ends before `limit` when it has 8 MiB of JSON. Raises InvalidFilter,
        and NotFound for a prefix out of scope.
        """
        return self._list(
            item_list(
                self.scope,
                namespace_prefix=namespace_prefix,
                filter=filter,
                limit=limit,
                cursor=cursor,
            )
        )

    @in_steps
    def search(
        self,
        *,
        namespace_prefix: Sequence[str],
        query: str | None = None,
        filter: Any = None,
        top_k: int = 10,
        min_score: float | None = None,
        hybrid: bool | float = True,
    ) -> Steps[list[StateMatch]]:
        """Return the `top_k` items that answer a query best by their indexed texts, best first.

        They are in the namespaces that begin with the prefix, and their values satisfy the filter.
        The search is by meaning and by words, and `hybrid` is the share of the meaning: True stands
        for the default weight, False for meaning only. Without an embedder it is by words alone.
        `min_score` is the least similarity of every result. Without a query these are the items
        that were written last, the latest first. The results end with the one that brings them to
        8 MiB of JSON.

        Raises InvalidFilter, InvalidInput, and NotFound for a prefix out of scope.
        """
        search = state_search(
            self.scope,
            namespace_prefix=namespace_prefix,
            query=query,
            filter=filter,
            top_k=top_k,
            min_score=min_score,
            hybrid=hybrid,
        )
        return self._search(search, (yield from self._prepared(search)))

    def list_namespaces(
        self,
        *,
        prefix: Sequence[str] | None = None,
        suffix: Sequence[str] | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[tuple[str, ...]]:
        """Return a page of the namespaces that have items, in order.

        They begin with `prefix` and end with `suffix`, in which `"*"` stands for any one element.
        Longer ones are cut to `max_depth` elements, and then named once. Raises NotFound for a
        prefix out of scope.
        """
        return self._list_namespaces(
            namespace_list(
                self.scope,
                prefix=prefix,
                suffix=suffix,
                max_depth=max_depth,
                limit=limit,
                cursor=cursor,
            )
        )

    @in_steps
    def batch(self, *, operations: Iterable[Mapping[str, Any]]) -> Steps[list[Any]]:
        """Do up to 10,000 operations in one transaction, and return their results in order.

        An operation has the name of a method as `op` ("put", "get", "delete", "renew", "search",
        "list_items" or "list_namespaces") and the method's arguments. Reads see the state before
        the batch, and so do versions that are required. If a key is written more than once, only
        the last write counts: a put before it returns the item of the last write, a delete False.
        All gets take one statement, and so do all renewals and all writes; a search or list takes
        its own.

        Raises the errors of the methods, with paths below `/operations`; then nothing was written.
        """
        checked = checked_operations(operations, self.scope)
        searches = {}
        for position, operation in enumerate(checked):
            if operation.name == "search":
                searches[position] = yield from self._prepared(operation.arguments)
        changes = {op.arguments.place: op.arguments for op in checked if op.name in _WRITES}

        def perform() -> tuple[list[Any], Outcomes]:
            results = self._read_all(checked, searches)
            self._renew_all(checked, results)
            return results, self._apply(list(changes.values())) if changes else {}

        results, outcomes = self.store.transact(perform)
        yield from self._index_later(outcomes)
        for position, operation in enumerate(checked):
            if operation.name in _WRITES:
                results[position] = _result(operation, changes, outcomes)
        return results

    def delete_expired(self) -> int:
        """Delete the items in scope that have expired, and return how many there were.

        They are not found any more since they expired; this frees their space. Their keys keep
        their versions.
        """
        deleted = 0
        while page := self.store.transact(self._delete_expired_page):
            deleted += page
            if page < EXPIRE_PAGE:
                break
        return deleted

    # The index

    @in_steps
    def index_pending(self) -> Steps[int]:
        """Index the items in scope that wait for it, and return how many were indexed.

        When it fails between two batches, the earlier batches stay indexed.
        """
        selection = StateSelection(prefix=(), resource_ids=self.scope.resource_ids)
        return (yield from self.index.index(selection))

    @in_steps
    def reindex(self) -> Steps[int]:
        """Index all items again, after a change of the embedder; return how many.

        Until it ends, searches by text find the items that are indexed already.
        """
        return (yield from self.index.reindex(StateSelection(prefix=())))

    @in_steps
    def prepare_index(self) -> Steps[VectorIndex | None]:
        """Create the index of agent state and return it; return None without an embedder.

        The index has the dimension of the embedder's vectors. `engine_migrate` calls this, so that
        a server's database role needs no right to create tables. Raises InvalidVector if the index
        has another dimension; reindex() replaces it.
        """
        return (yield from self.index.prepare())

    aput = derive_async(put)
    aget = derive_async(get)
    adelete = derive_async(delete)
    arenew = derive_async(renew)
    alist_items = derive_async(list_items)
    asearch = derive_async(search)
    alist_namespaces = derive_async(list_namespaces)
    abatch = derive_async(batch)
    adelete_expired = derive_async(delete_expired)
    aindex_pending = derive_async(index_pending)
    areindex = derive_async(reindex)
    aprepare_index = derive_async(prepare_index)

    # Steps

    def _write(self, change: StateChange) -> Steps[WrittenItem | None]:
        """Apply one change; a put is one statement, a deletion may delete a vector too."""
        apply = partial(self._apply, [change])
        outcomes = self.store.transact(apply, single=change.value is not None)
        yield from self._index_later(outcomes)
        return outcomes[change.place]

    def _apply(self, changes: Sequence[StateChange]) -> Outcomes:
        """Apply changes of distinct keys in the current transaction; raise VersionConflict."""
        outcomes: Outcomes = {}
        for change, outcome in zip(changes, self.store.write(changes), strict=True):
            if outcome is None and change.if_version is not None:
                self._require_version(change)
            outcomes[change.place] = outcome
        failpoints.hit("state_written")
        self._delete_vectors(outcomes.values())
        return outcomes

    def _require_version(self, change: StateChange) -> None:
        """Raise VersionConflict, unless a deletion required that there is no item."""
        item = self._find(change.place)
        current = 0 if item is None else item.version
        if change.value is None and current == change.if_version:
            return
        raise VersionConflict(
            subject=f"State item {quoted(change.key)}", expected=change.if_version, current=current
        )

    def _delete_vectors(self, outcomes: Iterable[WrittenItem | None]) -> None:
        deleted = [row for row in outcomes if row and row.item is None and row.is_indexed]
        if deleted:
            resources = sorted({row.resource_id for row in deleted})
            self.index.delete(resources, [row.id for row in deleted])

    def _index_later(self, outcomes: Outcomes) -> Steps[None]:
        pending = {row.resource_id for row in outcomes.values() if row and row.is_pending}
        return self.index.index_later(sorted(pending))

    def _delete_expired_page(self) -> int:
        deleted = self.store.delete_expired(resource_ids=self.scope.resource_ids, limit=EXPIRE_PAGE)
        self._delete_vectors(deleted)
        return len(deleted)

    # Reads

    def _find(self, place: ItemKey) -> StateItem | None:
        items, _ = self.store.read([place])
        return items.get(place)

    def _find_all(self, places: Sequence[ItemKey]) -> Mapping[ItemKey, StateItem]:
        items, has_more = self.store.read(places) if places else ({}, False)
        if has_more:
            message = "must get items of fewer bytes in one batch"
            raise InvalidInput(message, path="/operations")
        return items

    def _prepared(self, search: StateSearch) -> Steps[Sequence[float]]:
        if search.query is None:
            return ()
        return (yield from self.index.prepare_search(search.query, search.selection))

    def _search(self, search: StateSearch, numbers: Sequence[float]) -> list[StateMatch]:
        if search.query is None:
            items = self.store.list_latest(search.selection, limit=search.limit)
            return [StateMatch(item=item) for item in items]
        matches = self.index.search(search.query, numbers, search.selection)
        return self._with_items(matches[: search.limit])

    def _with_items(self, matches: Sequence[Match]) -> list[StateMatch]:
        """Return matches with their items; one that has been deleted since is left out."""
        items = self.store.find([UUID(match.id) for match in matches]) if matches else {}
        return [
            StateMatch(
                item=items[id],
                score=match.score,
                similarity=match.similarity,
                lexical=match.lexical,
            )
            for match in matches
            if (id := UUID(match.id)) in items
        ]

    def _list(self, request: ItemList) -> Page[StateItem]:
        items, has_more = self.store.list_items(
            request.selection, after=request.after, limit=request.limit
        )
        return request.page(items, has_more)

    def _list_namespaces(self, request: NamespaceList) -> Page[tuple[str, ...]]:
        namespaces = self.store.list_namespaces(
            request.selection, after=request.after, limit=request.limit + 1
        )
        return request.page(namespaces)

    def _read_all(
        self, operations: Sequence[Operation], searches: Mapping[int, Sequence[float]]
    ) -> list[Any]:
        """Return the results of the operations that read, and None for the others."""
        places = dict.fromkeys(op.arguments for op in operations if op.name == "get")
        items = self._find_all(list(places))
        results: list[Any] = [None] * len(operations)
        for position, (kind, arguments) in enumerate(operations):
            if kind == "get":
                results[position] = items.get(arguments)
            elif kind == "search":
                results[position] = self._search(arguments, searches[position])
            elif kind == "list_items":
                results[position] = self._list(arguments)
            elif kind == "list_namespaces":
                results[position] = self._list_namespaces(arguments)
        return results

    def _renew_all(self, operations: Sequence[Operation], results: list[Any]) -> None:
        places = list({op.arguments: None for op in operations if op.name == "renew"})
        renewed = self.store.renew(places) if places else set()
        for position, (kind, place) in enumerate(operations):
            if kind == "renew":
                results[position] = place in renewed


_WRITES = ("put", "delete")


def _result(
    operation: Operation, changes: Mapping[ItemKey, StateChange], outcomes: Outcomes
) -> StateItem | bool | None:
    """Return the result of a write: one that a later one of the key supersedes has no effect."""
    place = operation.arguments.place
    outcome = outcomes[place]
    if operation.name == "delete":
        return outcome is not None and changes[place] is operation.arguments
    return None if outcome is None else outcome.item
