"""Validated arguments of the methods of agent state."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from mastra_engine.backends.base.scope import Scope, resource_in
from mastra_engine.backends.base.state.paths import parse_path
from mastra_engine.backends.base.state.store import Namespace, StateChange
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import UNSET
from mastra_engine.validation.inputs import MAX_SECONDS, count, name, number
from mastra_engine.validation.jsonb import canonical, pointer
from mastra_engine.validation.sizes import limit_size

MAX_ELEMENTS = 16
#: Bytes of all elements of a namespace. With a key of 512 bytes it fits an entry of an index.
MAX_NAMESPACE_BYTES = 1_920
#: Bytes of a character in UTF-8.
_LONGEST_CHARACTER = 4
#: Bytes of the value of an item, as PostgreSQL writes it.
MAX_VALUE_BYTES = 16 * 1024 * 1024
#: Paths of one item's fields.
MAX_FIELDS = 100
#: Stands for any one element of a namespace that is listed.
WILDCARD = "*"


def own_namespace(value: Any, scope: Scope, path: str = "/namespace") -> Namespace:
    """Return a namespace of 1 to 16 elements; raise NotFound if it is out of scope."""
    namespace = checked_prefix(value, scope, path)
    if not namespace:
        raise InvalidInput("must have at least one element", path=path)
    return namespace


def checked_prefix(value: Any, scope: Scope, path: str = "/namespace_prefix") -> Namespace:
    """Return the beginning of a namespace, which may be empty; raise NotFound if out of scope."""
    elements = _elements(value, path)
    if elements:
        resource_in(scope, elements[0])
    return elements


def checked_pattern(value: Any, path: str) -> tuple[str | None, ...]:
    """Return the elements of a pattern, None for `"*"`; without a value it has none."""
    elements = () if value is None else _elements(value, path)
    return tuple(None if element == WILDCARD else element for element in elements)


def checked_change(
    scope: Scope,
    path: str = "",
    *,
    namespace: Any,
    key: Any,
    value: Any = UNSET,
    if_version: Any = None,
    expires_in: Any = None,
    index: Any = False,
) -> StateChange:
    """Return a write of a key, or its deletion if no value is passed."""
    at = tuple(path.split("/")[1:])
    return StateChange(
        namespace=own_namespace(namespace, scope, f"{path}/namespace"),
        key=name(key, f"{path}/key"),
        value=None if value is UNSET else _value(value, (*at, "value")),
        if_version=None if if_version is None else count(if_version, f"{path}/if_version"),
        lifetime=_lifetime(expires_in, f"{path}/expires_in"),
        fields=_fields(index, f"{path}/index"),
    )


def _elements(value: Any, path: str) -> Namespace:
    if not isinstance(value, list | tuple):
        message = f"must be a tuple or a list of text, not {type(value).__name__}"
        raise InvalidInput(message, path=path)
    if len(value) > MAX_ELEMENTS:
        raise InvalidInput(
            f"must have at most {MAX_ELEMENTS} elements, got {len(value)}", path=path
        )
    elements = tuple(name(element, f"{path}/{i}") for i, element in enumerate(value))
    if sum(map(len, elements)) * _LONGEST_CHARACTER <= MAX_NAMESPACE_BYTES:
        return elements
    if (size := sum(len(element.encode()) for element in elements)) > MAX_NAMESPACE_BYTES:
        message = f"must have at most {MAX_NAMESPACE_BYTES:,} bytes in all, got {size:,}"
        raise InvalidInput(message, path=path)
    return elements


def _value(value: Any, path: tuple[str, ...]) -> bytes:
    if not isinstance(value, Mapping):
        message = f"must be a JSON object, not {type(value).__name__}"
        raise InvalidInput(message, path=pointer(path))
    return limit_size(canonical(dict(value), path), MAX_VALUE_BYTES, path)


def _lifetime(value: Any, path: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    seconds = number(value, path, least=0, most=MAX_SECONDS, of=" of seconds")
    # The database's clock counts microseconds: a shorter time would be none.
    if seconds < 1e-6:
        raise InvalidInput(f"must be more than 0 seconds, got {seconds:g}", path=path)
    return seconds


def _fields(index: Any, path: str) -> tuple[str, ...] | None:
    """Return the paths of the fields to index: None for every text, none for False."""
    if index is None:
        return None
    if index is False:
        return ()
    if not isinstance(index, list | tuple):
        message = f"must be a list of paths, None or False, not {type(index).__name__}"
        raise InvalidInput(message, path=path)
    if len(index) > MAX_FIELDS:
        raise InvalidInput(f"must have at most {MAX_FIELDS} paths, got {len(index)}", path=path)
    paths = [name(field, f"{path}/{i}") for i, field in enumerate(index)]
    for i, field in enumerate(paths):
        parse_path(field, f"{path}/{i}")
    return tuple(dict.fromkeys(paths))
