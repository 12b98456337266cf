"""Validated lists and searches of agent state, with their cursors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from mastra_engine.backends.base.scope import Scope
from mastra_engine.backends.base.state.arguments import (
    MAX_ELEMENTS,
    checked_pattern,
    checked_prefix,
)
from mastra_engine.backends.base.state.store import (
    ItemKey,
    Namespace,
    NamespaceSelection,
    StateSelection,
)
from mastra_engine.backends.base.vectors.search import (
    MAX_TOP_K,
    VectorQuery,
    validated_query_text,
    vector_query,
)
from mastra_engine.exceptions import InvalidInput
from mastra_engine.filters.cursors import decode, encode, fingerprint
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.types import Page, StateItem
from mastra_engine.validation.inputs import MAX_COUNT, count

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemList:
    """Arguments of `list_items`."""

    selection: StateSelection
    limit: int
    query: str
    after: ItemKey | None

    def page(self, items: list[StateItem], has_more: bool) -> Page[StateItem]:
        """Return items as a page."""
        if not has_more:
            return Page(items)
        last = items[-1]
        return Page(items, encode(self.query, list(last.namespace), last.key))


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceList:
    """Arguments of `list_namespaces`."""

    selection: NamespaceSelection
    limit: int
    query: str
    after: Namespace | None

    def page(self, namespaces: list[Namespace]) -> Page[Namespace]:
        """Return namespaces as a page; they are one more than the limit if others follow."""
        items = namespaces[: self.limit]
        has_more = items and len(namespaces) > self.limit
        return Page(items, encode(self.query, list(items[-1])) if has_more else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSearch:
    """Arguments of `search`; without a query it lists items that satisfy a filter."""

    selection: StateSelection
    limit: int
    query: VectorQuery | None


def item_list(
    scope: Scope,
    path: str = "",
    *,
    namespace_prefix: Any = (),
    filter: Any = None,
    limit: Any = 100,
    cursor: Any = None,
) -> ItemList:
    """Validate the arguments of `list_items`."""
    selection = _selection(scope, path, namespace_prefix, filter)
    query = fingerprint("state", selection.prefix, selection.where)
    after = None if cursor is None else decode(cursor, query, list, str)
    return ItemList(
        selection=selection,
        limit=count(limit, f"{path}/limit"),
        query=query,
        after=None if after is None else (_place(after[0]), after[1]),
    )


def namespace_list(
    scope: Scope,
    path: str = "",
    *,
    prefix: Any = None,
    suffix: Any = None,
    max_depth: Any = None,
    limit: Any = 100,
    cursor: Any = None,
) -> NamespaceList:
    """Validate the arguments of `list_namespaces`."""
    pattern = checked_pattern(prefix, f"{path}/prefix")
    if pattern and pattern[0] is not None:
        checked_prefix(pattern[:1], scope, f"{path}/prefix")
    selection = NamespaceSelection(
        prefix=pattern,
        suffix=checked_pattern(suffix, f"{path}/suffix"),
        max_depth=None
        if max_depth is None
        else count(max_depth, f"{path}/max_depth", least=1, most=MAX_COUNT),
        resource_ids=scope.resource_ids,
    )
    query = fingerprint("namespaces", pattern, selection.suffix, selection.max_depth)
    after = None if cursor is None else _place(decode(cursor, query, list)[0])
    size = count(limit, f"{path}/limit")
    return NamespaceList(selection=selection, limit=size, query=query, after=after)


def state_search(
    scope: Scope,
    path: str = "",
    *,
    namespace_prefix: Any = (),
    query: Any = None,
    filter: Any = None,
    top_k: Any = 10,
    min_score: Any = None,
    hybrid: Any = True,
) -> StateSearch:
    """Validate the arguments of `search`."""
    selection = _selection(scope, path, namespace_prefix, filter)
    limit = count(top_k, f"{path}/top_k", least=1, most=MAX_TOP_K)
    if query is None:
        if min_score is not None:
            raise InvalidInput("needs a query", path=f"{path}/min_score")
        return StateSearch(selection=selection, limit=limit, query=None)
    request = vector_query(
        query_text=validated_query_text(query, f"{path}/query"),
        top_k=limit,
        filter=None,
        min_score=min_score,
        hybrid=hybrid,
        explain=False,
    )
    return StateSearch(selection=selection, limit=limit, query=request)


def _selection(scope: Scope, path: str, prefix: Any, filter: Any) -> StateSelection:
    at = tuple(path.split("/")[1:])
    return StateSelection(
        prefix=checked_prefix(prefix, scope, f"{path}/namespace_prefix"),
        resource_ids=scope.resource_ids,
        where=parse_optional_filter(filter, path=(*at, "filter")),
    )


def _place(elements: list[Any]) -> Namespace:
    """Return the namespace of a cursor, which the client may have changed."""
    namespace = checked_pattern(elements, "/cursor")
    if not 1 <= len(namespace) <= MAX_ELEMENTS:
        raise InvalidInput("is not a cursor of this query", path="/cursor")
    return tuple("*" if element is None else element for element in namespace)
