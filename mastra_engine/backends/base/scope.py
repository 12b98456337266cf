"""Scopes: which resources, connections and namespaces the services of an engine may touch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from mastra_engine.exceptions import EntityNotFound, NotFound, quoted
from mastra_engine.types import Scope
from mastra_engine.validation.inputs import names, narrowed
from mastra_engine.validation.vectors import namespace_name

__all__ = [
    "UNRESTRICTED",
    "Scope",
    "connection_in",
    "connections_in",
    "namespace_in",
    "namespaces_in",
    "narrow",
    "resource_in",
]

UNRESTRICTED = Scope()


def narrow(
    scope: Scope,
    *,
    resource_ids: Iterable[str] | None = None,
    connection_ids: Iterable[str] | None = None,
    namespaces: Iterable[str] | None = None,
) -> Scope:
    """Return the intersection of a scope and the given names; None leaves a part unchanged.

    Raises InvalidInput if an argument is not an iterable of names.
    """
    if resource_ids is not None:
        allowed = narrowed(scope.resource_ids, names(resource_ids, "/resource_ids"))
        scope = replace(scope, resource_ids=allowed)
    if connection_ids is not None:
        allowed = narrowed(scope.connection_ids, names(connection_ids, "/connection_ids"))
        scope = replace(scope, connection_ids=allowed)
    if namespaces is not None:
        spaces = names(namespaces, "/namespaces", check=namespace_name)
        scope = replace(scope, namespaces=narrowed(scope.namespaces, spaces))
    return scope


def connection_in(
    scope: Scope, connection_id: str, *, name: str | None = None, id: UUID | None = None
) -> str:
    """Return a connection's id; raises EntityNotFound if it is outside the scope.

    `name` or `id` is how the caller identified the entity. The error is the same as for an entity
    that does not exist.
    """
    if scope.connection_ids is not None and connection_id not in scope.connection_ids:
        if id is not None:
            raise EntityNotFound(id=id)
        raise EntityNotFound(name=name, connection_id=connection_id)
    return connection_id


def connections_in(scope: Scope, connection_id: str | None) -> frozenset[str] | None:
    """Return the connections a query may read: the given one, or all in scope if it is None.

    The result is None if the scope does not restrict connections, and empty if the given
    connection is outside the scope.
    """
    if connection_id is None:
        return scope.connection_ids
    return narrowed(scope.connection_ids, [connection_id])


def resource_in(scope: Scope, resource_id: str) -> str:
    """Return a resource's id; raises NotFound if it is outside the scope."""
    if scope.resource_ids is not None and resource_id not in scope.resource_ids:
        raise NotFound(f"Resource {quoted(resource_id)} does not exist")
    return resource_id


def namespace_in(scope: Scope, namespace: str) -> str:
    """Return a namespace; raises NotFound if it is outside the scope."""
    if scope.namespaces is not None and namespace not in scope.namespaces:
        raise NotFound(f"Namespace {quoted(namespace)} does not exist")
    return namespace


def namespaces_in(scope: Scope, namespace: str | None) -> frozenset[str] | None:
    """Return the namespaces a query may read: the given one, or all in scope if it is None.

    Raises NotFound if the given namespace is outside the scope.
    """
    if namespace is None:
        return scope.namespaces
    return frozenset([namespace_in(scope, namespace)])
