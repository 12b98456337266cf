"""The contract of working memory: what an agent keeps in mind."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.memory.threads import ThreadsContract, version
from mastra_engine.conversations.formats.tools import working_memory_tool
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Thread, ToolFormat, WorkingMemory
from mastra_engine.validation.inputs import choice, json_object, text
from mastra_engine.validation.json_schema import satisfy
from mastra_engine.validation.jsonb import Path


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose working memory it is: a thread's, or else the resource's."""

    resource_id: str
    thread_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryChange:
    """A change of working memory: its text, its JSON, or a merge patch (RFC 7396) of that.

    `check` raises when the JSON that comes out is not allowed.
    """

    content: str | None
    data: bytes | None
    patch: bytes | None
    if_version: int | None
    check: Callable[[dict[str, Any]], None]


class WorkingMemoryContract(ThreadsContract):
    """Text and JSON, of a resource or in a thread."""

    #: A JSON Schema that the JSON must satisfy, if any.
    working_memory_schema: Mapping[str, Any] | None = None

    def get_working_memory(
        self, *, resource_id: str | None = None, thread_id: str | None = None
    ) -> WorkingMemory:
        """Return what is kept in mind of a resource, or in a thread; raises ThreadNotFound."""
        holder = self._holder(resource_id, thread_id)
        return self._working_memory(holder).get(holder, WorkingMemory())

    def update_working_memory(
        self,
        *,
        resource_id: str | None = None,
        thread_id: str | None = None,
        content: str | Mapping[str, Any] | None = None,
        patch: Mapping[str, Any] | None = None,
        if_version: int | None = None,
    ) -> WorkingMemory:
        """Replace the text, or the JSON when `content` is an object; or patch the JSON.

        `patch` is a JSON merge patch (RFC 7396): null removes a key. `if_version` is the version
        that it must have, 0 for nothing yet, else VersionConflict. What breaks the schema of the
        settings is InvalidInput. Raises ThreadNotFound.
        """
        holder = self._holder(resource_id, thread_id)
        if (content is None) == (patch is None):
            raise InvalidInput("give either content or a patch", path="/content")
        path = ("content",) if patch is None else ("patch",)
        replaces = isinstance(content, Mapping)

        def check(data: dict[str, Any]) -> None:
            if not isinstance(content, str):  # which leaves the JSON as it is
                self._check_working_memory(data, path)

        change = MemoryChange(
            content=None if content is None or replaces else text(content, "/content"),
            data=json_object(content, path) if replaces else None,
            patch=None if patch is None else json_object(patch, path),
            if_version=version(if_version),
            check=check,
        )
        return self._change_working_memory(holder, change)

    def working_memory_tool(self, *, format: ToolFormat = "openai") -> dict[str, Any]:
        """Return the definition of a tool by which a model updates working memory.

        What the model calls it with is the `patch` of update_working_memory().
        """
        choice(format, "/format", "openai", "anthropic")
        return working_memory_tool(self.working_memory_schema, format)

    aget_working_memory = derive_async(get_working_memory)
    aupdate_working_memory = derive_async(update_working_memory)
    aworking_memory_tool = derive_async(working_memory_tool)

    # What a backend implements

    @abstractmethod
    def _working_memory(self, holder: Holder) -> dict[Holder, WorkingMemory]:
        """Return what a holder has and, of a thread, what its resource has; if they have any."""

    @abstractmethod
    def _change_working_memory(self, holder: Holder, change: MemoryChange) -> WorkingMemory: ...

    # Shared steps

    def _working_memory_of(self, thread: Thread) -> WorkingMemory:
        own = Holder(thread.resource_id, thread.id)
        found = self._working_memory(own)
        return found.get(own) or found.get(Holder(thread.resource_id)) or WorkingMemory()

    def _holder(self, resource_id: str | None, thread_id: str | None) -> Holder:
        resource, thread = self._whose(resource_id, thread_id)
        return Holder(resource, thread)

    def _check_working_memory(self, data: dict[str, Any], path: Path) -> None:
        if self.working_memory_schema is not None:
            satisfy(data, self.working_memory_schema, path)
