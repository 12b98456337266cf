"""The caller of a request: a user with an engine in the user's scope."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mastra_engine.api.access import Scoped, scoped_engine
from mastra_engine.backends.base import MastraEngine


class Caller(Scoped):
    """A user with an engine in the user's scope."""

    def __init__(self, request: Any, engine: MastraEngine) -> None:
        self.request = request
        self.engine = engine

    @classmethod
    def with_permissions(cls, request: Any, permissions: Collection[str]) -> Caller | None:
        """Return the caller of a request, or None if the access policy denies a permission."""
        engine = scoped_engine(request, permissions)
        return None if engine is None else cls(request, engine)

    def defaults(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return the caller's own ids: the user's, or the only one in the scope."""
        own = str(getattr(self.request.user, "pk", None) or "")
        scope = self.scope
        users = {name: own for name in names if own and _contains(scope[name], own)}
        return super().defaults(names) | users


def _contains(ids: frozenset[str] | None, id: str) -> bool:
    return ids is None or id in ids
