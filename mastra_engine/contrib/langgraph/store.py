"""The store: LangGraph's long-term memory in the engine's state."""

# ruff: noqa: E402  the extra is checked before it is imported

from __future__ import annotations

from mastra_engine.optional_deps import require

require("langgraph", "langgraph", by="mastra_engine.contrib.langgraph")

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import islice, zip_longest
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
)

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.event_loop import refuse_in_event_loop
from mastra_engine.backends.base.paging import PAGE, all_items
from mastra_engine.backends.base.state.service import State
from mastra_engine.backends.base.steps import Steps, arun_steps, run_steps
from mastra_engine.contrib.langgraph.connections import joined_connection
from mastra_engine.contrib.langgraph.store_filters import checked_filter, matches, prefilter
from mastra_engine.exceptions import InvalidInput
from mastra_engine.handler import engine as default_engine
from mastra_engine.types import StateItem
from mastra_engine.validation.inputs import choice, count

#: An item that was found, and its similarity to the query.
Ranked = tuple[StateItem, float | None]


@refuse_in_event_loop
class EngineStore(BaseStore):
    """Keep long-term memory as agent state of the engine.

    Searches with a query rank by the engine's embedder, without one by words. `fields` are the
    paths of the texts that are indexed, unless a put names others: None means every text, False
    none. `ttl` has the defaults of LangGraph's TTLs, such as `{"default_ttl": 60}`, in minutes.
    """

    supports_ttl = True

    def __init__(
        self,
        *,
        engine: MastraEngine | None = None,
        fields: Sequence[str] | bool | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        self.engine = default_engine if engine is None else engine
        self.fields = fields
        self.ttl_config = ttl

    @property
    def state(self) -> State:
        """The state of the engine, which is looked up at each call."""
        return self.engine.state

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do operations and return their results in order.

        Reads see the state before the batch. All writes take effect, or none; if a key is written
        more than once, the last write counts.
        """
        with self._connection():
            return run_steps(self._batch(ops))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """See batch()."""
        return await arun_steps(partial(self._batch, ops))

    def _connection(self) -> AbstractContextManager[Any]:
        alias = getattr(self.engine, "database", None)
        return joined_connection(alias) if alias else nullcontext()

    def _batch(self, ops: Iterable[Op]) -> Steps[list[Result]]:
        operations = [*ops]
        results: list[Result] = [None] * len(operations)
        read: list[StateItem] = []
        for position, op in enumerate(operations):
            if isinstance(op, SearchOp):
                ranked = yield from self._search(op, f"/ops/{position}")
                results[position] = [
                    SearchItem(**_fields(item), score=score) for item, score in ranked
                ]
                read += [item for item, _ in ranked if op.refresh_ttl]
            elif isinstance(op, ListNamespacesOp):
                results[position] = self._namespaces(op, f"/ops/{position}")
            elif not isinstance(op, GetOp | PutOp):
                message = f"must be an operation of LangGraph's stores, not {type(op).__name__}"
                raise InvalidInput(message, path=f"/ops/{position}")
        items = yield from self._read_and_write(operations)
        for position, item in items.items():
            results[position] = Item(**_fields(item))
            read += [item] if operations[position].refresh_ttl else []
        yield from self._renew(read)
        return results

    def _read_and_write(self, operations: Sequence[Op]) -> Steps[dict[int, StateItem]]:
        """Do the gets and puts in one transaction; return the items that were read."""
        simple = {
            position: self._operation(op)
            for position, op in enumerate(operations)
            if isinstance(op, GetOp | PutOp)
        }
        if not simple:
            return {}
        outcomes = yield from _steps(self.state.batch, operations=simple.values())
        return {
            position: outcome
            for position, outcome in zip(simple, outcomes, strict=True)
            if outcome is not None and isinstance(operations[position], GetOp)
        }

    def _operation(self, op: GetOp | PutOp) -> dict[str, Any]:
        place = {"namespace": op.namespace, "key": op.key}
        if isinstance(op, GetOp):
            return {"op": "get", **place}
        if op.value is None:
            return {"op": "delete", **place}
        return {
            "op": "put",
            **place,
            "value": op.value,
            "index": self.fields if op.index is None else op.index,
            "expires_in": None if op.ttl is None else op.ttl * 60,
        }

    def _renew(self, items: Iterable[StateItem]) -> Steps[None]:
        """Let the items that were read live as long again as their puts said."""
        places = {(item.namespace, item.key) for item in items if item.expires_at is not None}
        if places:
            renewals = [{"op": "renew", "namespace": space, "key": key} for space, key in places]
            yield from _steps(self.state.batch, operations=renewals)

    # Searches

    def _search(self, op: SearchOp, path: str) -> Steps[list[Ranked]]:
        """Return the items that satisfy the filter: those closest to the query, then the others."""
        filter = checked_filter(op.filter, (*path.strip("/").split("/"), "filter"))
        first = count(op.offset, f"{path}/offset")
        last = first + count(op.limit, f"{path}/limit")
        if last == first:
            return []
        ranked: list[Ranked] = []
        if op.query:
            ranked = yield from self._closest(op, filter, last)
        ranked_places = {(item.namespace, item.key) for item, _ in ranked}
        others = (
            (item, None)
            for item in self._items(op.namespace_prefix, filter, last)
            if (item.namespace, item.key) not in ranked_places
        )
        ranked += islice(others, last - len(ranked))
        return ranked[first:]

    def _closest(self, op: SearchOp, filter: Mapping[str, Any], most: int) -> Steps[list[Ranked]]:
        top_k = most
        while True:
            answers = yield from _steps(
                self.state.search,
                namespace_prefix=op.namespace_prefix,
                query=op.query,
                filter=prefilter(filter),
                top_k=top_k,
                hybrid=False,
            )
            closest = [match for match in answers if matches(match.item.value, filter)]
            if len(closest) >= most or len(answers) < top_k:
                return [
                    (match.item, match.score if match.similarity is None else match.similarity)
                    for match in closest[:most]
                ]
            top_k *= 4  # Some answers satisfied the engine's filter only.

    def _items(
        self, prefix: Sequence[str], filter: Mapping[str, Any], most: int
    ) -> Iterator[StateItem]:
        items = all_items(
            self.state.list_items,
            namespace_prefix=prefix,
            filter=prefilter(filter),
            limit=min(most, PAGE),
        )
        return (item for item in items if matches(item.value, filter))

    # Namespaces

    def _namespaces(self, op: ListNamespacesOp, path: str) -> list[tuple[str, ...]]:
        first = count(op.offset, f"{path}/offset")
        last = first + count(op.limit, f"{path}/limit")
        prefixes, suffixes = _patterns(op, path)
        if len(prefixes) > 1 or len(suffixes) > 1:
            return self._matching_namespaces(op.max_depth, prefixes, suffixes)[first:last]
        pattern = {"prefix": prefixes[0], "suffix": suffixes[0]}
        return [*islice(self._all_namespaces(max_depth=op.max_depth, **pattern), first, last)]

    def _matching_namespaces(
        self, max_depth: int | None, prefixes: Sequence[Any], suffixes: Sequence[Any]
    ) -> list[tuple[str, ...]]:
        """Return the namespaces that match several patterns of a kind, of which state knows one."""
        by_pattern = [
            {*self._all_namespaces(prefix=prefix, suffix=suffix)}
            for prefix, suffix in zip_longest(prefixes, suffixes)
        ]
        return sorted({namespace[:max_depth] for namespace in set.intersection(*by_pattern)})

    def _all_namespaces(self, **pattern: Any) -> Iterator[tuple[str, ...]]:
        return all_items(self.state.list_namespaces, **pattern)


def _patterns(op: ListNamespacesOp, path: str) -> tuple[list[Any], list[Any]]:
    """Return the prefixes and the suffixes that namespaces have to match, at least one of each."""
    patterns: dict[str, list[Any]] = {"prefix": [], "suffix": []}
    for position, condition in enumerate(op.match_conditions or ()):
        at = f"{path}/match_conditions/{position}/match_type"
        patterns[choice(condition.match_type, at, *patterns)].append(condition.path)
    return patterns["prefix"] or [None], patterns["suffix"] or [None]


def _steps(method: Any, **arguments: Any) -> Steps[Any]:
    """Return the steps of a method of state, so that its model calls hold no database thread."""
    steps: Steps[Any] = method.steps(method.__self__, **arguments)
    return steps


def _fields(item: StateItem) -> dict[str, Any]:
    names = ("namespace", "key", "value", "created_at", "updated_at")
    return {name: getattr(item, name) for name in names}
