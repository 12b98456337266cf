"""The fields of documents that a query returns: a tree of keys, as `QueryOptions.fields` names it.

`postgres/projection.py` compiles the tree to SQL, so that the rest of a document is not sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mastra_engine.filters.ast import FieldTree, SortKey

_MISSING = object()


def tree_of(paths: Iterable[tuple[str | int, ...]]) -> FieldTree:
    """Return the tree of some paths; one that continues another is contained in it."""
    tree: dict[Any, Any] = {}
    for *parents, last in paths:
        node: dict[Any, Any] | None = tree
        for key in parents:
            node = None if node is None else node.setdefault(key, {})
        if node is not None:
            node[last] = None
    return tree


def with_sort_keys(fields: FieldTree, sort: tuple[SortKey, ...]) -> FieldTree:
    """Return a tree that also has the fields that a query sorts by."""
    return tree_of([*_paths(fields), *(key.field.path for key in sort if key.field.path)])


def project(document: Mapping[str, Any], fields: FieldTree) -> dict[str, Any]:
    """Return the fields of a document that are in the tree; missing ones are left out.

    A path that meets an array goes on in each of its objects, and its other members are left out.
    """
    values = {key: _nested(document[key], fields[key]) for key in document if key in fields}
    return {key: value for key, value in values.items() if value is not _MISSING}


def _nested(value: Any, fields: FieldTree | None) -> Any:
    if fields is None:
        return value
    if isinstance(value, dict):
        return project(value, fields)
    if isinstance(value, list):
        return [project(member, fields) for member in value if isinstance(member, dict)]
    return _MISSING


def _paths(fields: FieldTree) -> Iterable[tuple[str, ...]]:
    for key, nested in fields.items():
        if nested is None:
            yield (key,)
        else:
            yield from ((key, *path) for path in _paths(nested))
