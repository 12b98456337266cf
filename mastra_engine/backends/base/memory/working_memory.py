"""Working memory: text and JSON that an agent keeps about a resource or in a thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mastra_engine.backends.base.memory.limits import MAX_WORKING_MEMORY_BYTES
from mastra_engine.backends.base.memory.scope import (
    MemoryContext,
    MemoryScope,
    checked_version,
)
from mastra_engine.backends.base.memory.store import MemoryHolder, WorkingMemoryChange
from mastra_engine.conversations.formats.tools import working_memory_tool
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Thread, ToolFormat, WorkingMemory
from mastra_engine.validation.inputs import choice, json_object, text
from mastra_engine.validation.json_schema import validate
from mastra_engine.validation.jsonb import Path, canonical
from mastra_engine.validation.sizes import limit_size


class WorkingMemories:
    """The working memory of resources and of threads."""

    def __init__(self, context: MemoryContext, scope: MemoryScope) -> None:
        self._context = context
        self._store = context.store
        self._scope = scope

    def get_working_memory(
        self, *, resource_id: str | None = None, thread_id: str | None = None
    ) -> WorkingMemory:
        """Return the working memory of a resource or of a thread; raises ThreadNotFound.

        It is empty, with version 0, if nothing was stored.
        """
        holder = self._holder(resource_id, thread_id)
        return self._store.find_working_memory(holder).get(holder, WorkingMemory())

    def update_working_memory(
        self,
        *,
        resource_id: str | None = None,
        thread_id: str | None = None,
        content: str | Mapping[str, Any] | None = None,
        patch: Mapping[str, Any] | None = None,
        if_version: int | None = None,
    ) -> WorkingMemory:
        """Replace the text, replace the JSON, or patch the JSON; return the result.

        `content` replaces the text if it is text, and the JSON if it is an object. `patch` is a
        JSON merge patch (RFC 7396): null removes a key. `if_version` is the version that the
        working memory must have, 0 if it must not exist yet.

        Raises ThreadNotFound, VersionConflict, and InvalidInput for JSON that violates
        WORKING_MEMORY_SCHEMA of the settings.
        """
        holder = self._holder(resource_id, thread_id)
        if (content is None) == (patch is None):
            raise InvalidInput("give either content or a patch", path="/content")
        path = ("content",) if patch is None else ("patch",)
        replaces_json = isinstance(content, Mapping)

        def validate(data: dict[str, Any]) -> None:
            limit_size(canonical(data, path), MAX_WORKING_MEMORY_BYTES, path)
            if not isinstance(content, str):  # New text leaves the JSON as it is.
                self._check_schema(data, path)

        change = WorkingMemoryChange(
            content=None if content is None or replaces_json else text(content, "/content"),
            data=json_object(content, path) if replaces_json else None,
            patch=None if patch is None else json_object(patch, path),
            if_version=checked_version(if_version),
            validate=validate,
        )
        return self._store.transact(lambda: self._store.change_working_memory(holder, change))

    def working_memory_tool(self, *, format: ToolFormat = "openai") -> dict[str, Any]:
        """Return the definition of a tool with which a model updates working memory.

        The arguments of the model's call are the `patch` of update_working_memory().
        """
        format = cast(ToolFormat, choice(format, "/format", "openai", "anthropic"))
        return working_memory_tool(self._context.working_memory_schema, format)

    def of_thread(self, thread: Thread) -> WorkingMemory:
        """Return a thread's working memory, or its resource's if the thread has none."""
        own = MemoryHolder(thread.resource_id, thread.id)
        stored = self._store.find_working_memory(own)
        shared = stored.get(MemoryHolder(thread.resource_id))
        return stored.get(own) or shared or WorkingMemory()

    def _holder(self, resource_id: str | None, thread_id: str | None) -> MemoryHolder:
        return MemoryHolder(*self._scope.resolve(resource_id, thread_id))

    def _check_schema(self, data: dict[str, Any], path: Path) -> None:
        schema = self._context.working_memory_schema
        if schema is not None:
            validate(data, schema, path)
