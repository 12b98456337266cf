"""Batches of operations on agent state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from mastra_engine.backends.base.scope import Scope
from mastra_engine.backends.base.state.arguments import checked_change, own_namespace
from mastra_engine.backends.base.state.listing import (
    ItemList,
    NamespaceList,
    StateSearch,
    item_list,
    namespace_list,
    state_search,
)
from mastra_engine.backends.base.state.store import ItemKey, StateChange
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import UNSET
from mastra_engine.validation.inputs import name
from mastra_engine.validation.jsonb import plain_keys, plain_text
from mastra_engine.validation.suggestions import unknown

#: Operations of one batch, and bytes of JSON of all its values.
MAX_OPERATIONS = 10_000
MAX_BATCH_BYTES = 64 * 1024 * 1024

#: The validated arguments of an operation.
Arguments = ItemKey | StateChange | ItemList | NamespaceList | StateSearch


class Operation(NamedTuple):
    """An operation of a batch with its validated arguments."""

    name: str
    arguments: Any


def checked_operations(operations: Any, scope: Scope) -> list[Operation]:
    """Return the operations of a batch; raise InvalidInput with the path of an invalid one."""
    if isinstance(operations, str | bytes | Mapping) or not isinstance(operations, Iterable):
        message = f"must be a list of operations, not {type(operations).__name__}"
        raise InvalidInput(message, path="/operations")
    checked: list[Operation] = []
    size = 0
    for position, operation in enumerate(operations):
        if position == MAX_OPERATIONS:
            message = f"must have at most {MAX_OPERATIONS:,} operations"
            raise InvalidInput(message, path="/operations")
        checked.append(_operation(operation, scope, f"/operations/{position}"))
        size += len(getattr(checked[-1].arguments, "value", None) or b"")
        if size > MAX_BATCH_BYTES:
            message = f"must have at most {MAX_BATCH_BYTES:,} bytes of JSON in all values"
            raise InvalidInput(message, path="/operations")
    return checked


def _operation(operation: Any, scope: Scope, path: str) -> Operation:
    if not isinstance(operation, Mapping):
        message = f"must be an object, not {type(operation).__name__}"
        raise InvalidInput(message, path=path)
    arguments = plain_keys(operation)
    kind = plain_text(arguments.pop("op", None))
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InvalidInput(unknown("operation", kind, _KINDS), path=f"{path}/op")
    check, required, optional = _KINDS[kind]
    for key in arguments:
        if key not in (*required, *optional):
            message = unknown("argument", key, (*required, *optional))
            raise InvalidInput(message, path=f"{path}/{key}")
    for key in required:
        if key not in arguments:
            raise InvalidInput("is missing", path=f"{path}/{key}")
    return Operation(kind, check(scope, path, **arguments))


def _place(scope: Scope, path: str, *, namespace: Any, key: Any) -> ItemKey:
    return own_namespace(namespace, scope, f"{path}/namespace"), name(key, f"{path}/key")


def _put(scope: Scope, path: str, *, index: Any = None, **arguments: Any) -> StateChange:
    return checked_change(scope, path, index=index, **arguments)


_Check = Callable[..., Arguments]
_PLACE = ("namespace", "key")
_LIST = ("limit", "cursor")
#: The operations: how their arguments are checked, those that are required, and the others.
_KINDS: dict[str, tuple[_Check, tuple[str, ...], tuple[str, ...]]] = {
    "put": (_put, (*_PLACE, "value"), ("if_version", "expires_in", "index")),
    "get": (_place, _PLACE, ()),
    "delete": (partial(checked_change, value=UNSET), _PLACE, ("if_version",)),
    "renew": (_place, _PLACE, ()),
    "search": (
        state_search,
        ("namespace_prefix",),
        ("query", "filter", "top_k", "min_score", "hybrid"),
    ),
    "list_items": (item_list, ("namespace_prefix",), ("filter", *_LIST)),
    "list_namespaces": (namespace_list, (), ("prefix", "suffix", "max_depth", *_LIST)),
}
