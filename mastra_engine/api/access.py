"""Who may do what: the access policy that holds unless the project names its own."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from mastra_engine.conf import api_settings
from mastra_engine.handler import engines
from mastra_engine.types import Scope

#: What shows the content of messages, records and vectors; staff needs "read_content" besides.
CONTENT = {"view_message", "view_record", "view_embedding", "view_workingmemory"}
#: Vector indexes are everybody's: they are for those who have a model permission.
SHARED = "_vectorindex"

APP = "mastra_engine"


def own_or_staff(request: Any, permission: str) -> Scope | None:
    """Staff with the model permission: everything. Any other user: what bears their primary key.

    That is the resource, the connection and the namespace `str(user.pk)`. Nobody else gets
    anything.
    """
    user = request.user
    if not user or not user.is_authenticated:
        return None
    needed = {permission, "read_content"} if permission in CONTENT else {permission}
    # A project's own users may lack the one, and need not have `has_perms` for Django's admin.
    if getattr(user, "is_staff", False) and all(user.has_perm(f"{APP}.{each}") for each in needed):
        return Scope()
    if permission.endswith(SHARED):
        return None
    own = frozenset([str(user.pk)])
    return Scope(resource_ids=own, connection_ids=own, namespaces=own)


class Allowed(BasePermission):
    """Asks the policy for each permission of an operation; confines the engine to its answers."""

    def has_permission(self, request: Request, view: Any) -> bool:
        operation = view.operation
        if operation is None:
            return True  # there is no such method, which the view says
        alias = api_settings().engine
        policy = engines.access_policy(alias) or own_or_staff
        engine = engines[alias]
        for permission in operation.asks:
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
