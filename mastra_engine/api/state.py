"""Views of agent state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mastra_engine.api.operations import Deleted, Example, operation
from mastra_engine.api.views import EngineView, route
from mastra_engine.backends.base.state.service import State
from mastra_engine.exceptions import InvalidInput, NotFound, quoted
from mastra_engine.types import Page, StateItem, StateMatch

_TIME = "2026-01-02T03:04:05Z"
_PLACE = {"namespace": '["7", "prefs"]', "key": "drinks"}
_ITEM = {
    "namespace": ["7", "prefs"],
    "key": "drinks",
    "value": {"likes": "green tea"},
    "version": 1,
    "created_at": _TIME,
    "updated_at": _TIME,
    "expires_at": None,
}
_PUT: dict[str, Any] = {
    "namespace": ["7", "prefs"],
    "key": "drinks",
    "value": {"likes": "black tea"},
}
#: The operations of a batch. Searches and lists have pages and limits of their own.
_BATCHED = ("put", "get", "delete")


@dataclass(frozen=True, slots=True)
class StateResults:
    """The results of a batch of operations on agent state."""

    results: list[Any]


@dataclass(frozen=True, slots=True)
class StateNamespaces(Page[list[str]]):
    """A page of namespaces."""

    items: list[list[str]]
    next_cursor: str | None = None


class ItemView(EngineView):
    @operation(
        State.get,
        "view_stateitem",
        name="get_state_item",
        example=Example(query=_PLACE, answer=_ITEM),
    )
    def get(self, **arguments: Any) -> StateItem:
        """Read an item of agent state.

        The namespace is a JSON list. An item that has expired does not exist.
        """
        item = self.engine.state.get(**arguments)
        if item is None:
            raise NotFound(f"State item {quoted(arguments['key'])} does not exist")
        return item

    @operation(
        State.put,
        "add_stateitem",
        "change_stateitem",
        name="put_state_item",
        versioned=True,
        example=Example(body=_PUT, answer={**_ITEM, "value": _PUT["value"], "version": 2}),
    )
    def put(self, **arguments: Any) -> StateItem:
        """Create or replace an item of agent state.

        `If-Match: "0"` requires that the item does not exist.
        """
        return self.engine.state.put(**arguments)

    @operation(
        State.delete,
        "delete_stateitem",
        name="delete_state_item",
        versioned=True,
        example=Example(query=_PLACE, answer={"deleted": 1}),
    )
    def delete(self, **arguments: Any) -> Deleted:
        """Delete an item of agent state.

        The namespace is a JSON list. The response has the number of deleted items, 0 or 1.
        """
        return Deleted(int(self.engine.state.delete(**arguments)))


class ItemsView(EngineView):
    @operation(
        State.list_items,
        "view_stateitem",
        name="list_state_items",
        example=Example(
            query={"namespace_prefix": '["7"]'},
            answer={"items": [_ITEM], "next_cursor": None},
        ),
    )
    def get(self, **arguments: Any) -> Page[StateItem]:
        """List items of agent state.

        They are ordered by namespace and key. The prefix is a JSON list; `[]` stands for everything
        that the user may read. A page ends before `limit` with the item that brings it to 8 MiB.
        """
        return self.engine.state.list_items(**arguments)


class NamespacesView(EngineView):
    @operation(
        State.list_namespaces,
        "view_stateitem",
        name="list_state_namespaces",
        example=Example(
            query={"suffix": '["prefs"]'},
            answer={"items": [["7", "prefs"]], "next_cursor": None},
        ),
    )
    def get(self, **arguments: Any) -> StateNamespaces:
        """List the namespaces of agent state.

        Only namespaces that have items are listed, in order. The prefix and the suffix are JSON
        lists, in which `"*"` stands for any one element.
        """
        page = self.engine.state.list_namespaces(**arguments)
        return StateNamespaces([list(namespace) for namespace in page], page.next_cursor)


class SearchView(EngineView):
    @operation(
        State.search,
        "view_stateitem",
        name="search_state",
        searches=True,
        example=Example(
            body={"namespace_prefix": ["7"], "query": "tea"},
            answer={
                "items": [{"item": _ITEM, "score": 0.8, "similarity": 0.7, "lexical": 0.3}],
                "next_cursor": None,
            },
        ),
    )
    def post(self, **arguments: Any) -> Page[StateMatch]:
        """Search agent state.

        The items that answer the query best by their texts are returned, best first. Without a
        query they are the items that were written last, and their score is 0.
        """
        return Page(self.engine.state.search(**arguments))


class BatchView(EngineView):
    @operation(
        State.batch,
        "view_stateitem",
        "add_stateitem",
        "change_stateitem",
        "delete_stateitem",
        name="batch_state",
        example=Example(
            body={"operations": [{"op": "get", "namespace": ["7", "prefs"], "key": "drinks"}]},
            answer={"results": [_ITEM]},
        ),
    )
    def post(self, **arguments: Any) -> StateResults:
        """Read, write and delete several items of agent state.

        The operations are `put`, `get` and `delete`; lists and searches are requests of their own.
        All takes effect, or nothing. Reads see the state before the batch; if a key is written more
        than once, only the last write counts.
        """
        operations = arguments["operations"]
        for position, value in enumerate(operations if isinstance(operations, list) else ()):
            if isinstance(value, dict) and value.get("op") not in _BATCHED:
                path = f"/operations/{position}/op"
                raise InvalidInput(f"must be one of {', '.join(_BATCHED)}", path=path)
        return StateResults(self.engine.state.batch(operations=operations))


urlpatterns = [
    route("state/item/", ItemView, name="state-item"),
    route("state/items/", ItemsView, name="state-items"),
    route("state/namespaces/", NamespacesView, name="state-namespaces"),
    route("state/search/", SearchView, name="state-search"),
    route("state/batch/", BatchView, name="state-batch"),
]
