"""The default access policy, and the scope that the policy gives to a request."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from mastra_engine.backends.base import MastraEngine
from mastra_engine.conf import api_settings
from mastra_engine.filters.cursors import fingerprint
from mastra_engine.handler import engines
from mastra_engine.types import Scope
from mastra_engine.web import READS, allowed

#: Permissions that start the project's own code. Users do not have them for their own objects,
#: because a declared sync takes parameters, and can be expensive.
STARTS = {"add_syncrun"}
#: Vector indexes have no owner: only users with a model permission may use these permissions.
SHARED = "_vectorindex"


def own_or_staff(request: Any, permission: str) -> Scope | None:
    """Return the scope of a user: everything for staff with the permission, else their own objects.

    A user owns the resource, the connection and the namespace with the id `str(user.pk)`. Requests
    without a signed-in user have no scope, which is None. Vector indexes and starting declared
    syncs are for staff with the permission only.
    """
    user = request.user
    if not user or not user.is_authenticated:
        return None
    # A project's own user model may lack `is_staff`, and needs `has_perm` only for Django's admin.
    if getattr(user, "is_staff", False) and allowed(user, permission):
        return Scope()
    if permission.endswith(SHARED) or permission in STARTS:
        return None
    own = frozenset([str(user.pk)])
    return Scope(resource_ids=own, connection_ids=own, namespaces=own)


def read_permissions(hint: Any) -> list[str]:
    """Return the permissions to read the values that a return type contains."""
    permissions = [READS[hint]] if hint in READS else []
    inner: tuple[Any, ...] = get_args(hint)
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        inner = tuple(hints[field.name] for field in fields(hint))
    for kind in inner:
        permissions += read_permissions(kind)
    return list(dict.fromkeys(permissions))


def scoped_engine(request: Any, permissions: Collection[str]) -> MastraEngine | None:
    """Return the engine in the scope of a request; None if the policy denies a permission."""
    alias = api_settings().engine
    policy = engines.access_policy(alias) or own_or_staff
    engine = engines[alias]
    for permission in permissions:
        scope = policy(request, permission)
        if scope is None:
            return None
        engine = engine.within(
            resource_ids=scope.resource_ids,
            connection_ids=scope.connection_ids,
            namespaces=scope.namespaces,
        )
    return engine


class Scoped:
    """The base of views and others that have a request, and an engine in the request's scope."""

    request: Any
    engine: MastraEngine

    @property
    def scope(self) -> dict[str, frozenset[str] | None]:
        """The ids that the user may access, by argument; None means all."""
        return {
            "resource_id": self.engine.memory.resource_ids,
            "connection_id": self.engine.scope.connection_ids,
            "namespace": self.engine.vectors.namespaces,
        }

    @property
    def principal(self) -> str:
        """A fingerprint of the user and of the user's scope."""
        scope = (None if ids is None else sorted(ids) for ids in self.scope.values())
        return fingerprint(str(getattr(self.request.user, "pk", None)), *scope)

    def defaults(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return those of the arguments for which the user's scope has exactly one id."""
        scope = self.scope
        return {name: min(ids) for name in names if (ids := scope[name]) and len(ids) == 1}


class Allowed(BasePermission):
    """Ask the access policy for each permission of an operation, and scope the engine."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the policy allows the operation; set the view's scoped engine."""
        operation = view.operation
        if operation is None:
            return True  # The view answers 405 for a method that it does not have.
        engine = scoped_engine(request, operation.permissions)
        if engine is None:
            return False
        view.engine = engine
        scope_is_restricted = any(ids is not None for ids in view.scope.values())
        return not (operation.all_owners and scope_is_restricted)
