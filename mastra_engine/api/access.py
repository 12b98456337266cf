"""The default access policy, and the permission class that applies the policy to each request."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from mastra_engine.conf import api_settings
from mastra_engine.handler import engines
from mastra_engine.types import Scope

#: Permissions that show the content of messages, records and vectors. Staff also needs
#: "read_content" for them.
CONTENT = {"view_message", "view_record", "view_embedding", "view_workingmemory"}
#: Vector indexes have no owner: only users with a model permission may use these permissions.
SHARED = "_vectorindex"

APP = "mastra_engine"


def own_or_staff(request: Any, permission: str) -> Scope | None:
    """Return the scope of a user: everything for staff with the permission, else their own objects.

    A user owns the resource, the connection and the namespace with the id `str(user.pk)`. Requests
    without a signed-in user have no scope, which is None.
    """
    user = request.user
    if not user or not user.is_authenticated:
        return None
    required = {permission, "read_content"} if permission in CONTENT else {permission}
    # A project's own user model may lack `is_staff`, and needs `has_perm` only for Django's admin.
    if getattr(user, "is_staff", False) and all(
        user.has_perm(f"{APP}.{name}") for name in required
    ):
        return Scope()
    if permission.endswith(SHARED):
        return None
    own = frozenset([str(user.pk)])
    return Scope(resource_ids=own, connection_ids=own, namespaces=own)


class Allowed(BasePermission):
    """Ask the access policy for each permission of an operation, and scope the engine."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the policy allows the operation; set the view's scoped engine."""
        operation = view.operation
        if operation is None:
            return True  # The view answers 405 for a method that it does not have.
        alias = api_settings().engine
        policy = engines.access_policy(alias) or own_or_staff
        engine = engines[alias]
        for permission in operation.permissions:
            scope = policy(request, permission)
            if scope is None:
                return False
            engine = engine.within(
                resource_ids=scope.resource_ids,
                connection_ids=scope.connection_ids,
                namespaces=scope.namespaces,
            )
        view.engine = engine
        return True
