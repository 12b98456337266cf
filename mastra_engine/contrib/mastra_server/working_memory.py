"""Views of working memory, and of the configuration of memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mastra_engine.api.parsers import strict_loads
from mastra_engine.api.views import route
from mastra_engine.contrib.mastra_server.arguments import json_object
from mastra_engine.contrib.mastra_server.views import MastraView, call, thread_exists
from mastra_engine.exceptions import InvalidInput, ThreadNotFound
from mastra_engine.types import WorkingMemory
from mastra_engine.validation.inputs import text

_READS = ("view_thread", "view_workingmemory")
#: An agent remembers so many messages, and recalls so many more, unless it says otherwise.
_LAST, _TOP_K, _RANGE = 10, 4, {"before": 1, "after": 1}


class WorkingMemoryView(MastraView):
    @call(*_READS)
    def get(self, thread_id: str) -> Any:
        """Read the working memory of the named resource, or the thread's own."""
        query = self.request.query_params
        resource = query.get("resourceId")
        memory = self.memory_of(resource)
        of_resource = resource is not None and not _of_thread(json_object(query, "memoryConfig"))
        exists = True
        try:
            memory.get_thread(thread_id=thread_id)
        except ThreadNotFound:
            if thread_exists(thread_id):
                raise
            exists = False
        if of_resource:
            stored = memory.get_working_memory(resource_id=resource)
        elif exists:
            stored = memory.get_working_memory(thread_id=thread_id)
        else:
            stored = WorkingMemory()
        schema = memory.working_memory_schema
        return {
            "workingMemory": _text(stored, schema),
            "source": "resource" if of_resource else "thread",
            "workingMemoryTemplate": None if schema is None else _template(schema),
            "threadExists": exists,
        }

    @call("change_workingmemory", *_READS)
    def post(self, thread_id: str) -> Any:
        """Replace the working memory of the named resource, or the thread's own."""
        body = self.body
        resource, config = body.get("resourceId"), body.get("memoryConfig") or {}
        memory = self.memory_of(resource)
        content: Any = text(body.get("workingMemory"), "/workingMemory")
        if memory.working_memory_schema is not None:
            content = _object(content)
        memory.get_thread(thread_id=thread_id)
        if resource is None or _of_thread(config):
            memory.update_working_memory(thread_id=thread_id, content=content)
        else:
            memory.update_working_memory(resource_id=resource, content=content)
        return {"success": True}


class StatusView(MastraView):
    @call("view_thread")
    def get(self) -> Any:
        """Say that there is a memory."""
        return {"result": True, "memoryType": "local"}


class ConfigView(MastraView):
    @call("view_thread")
    def get(self) -> Any:
        """Return the configuration of memory, which is the same for all agents."""
        memory = self.engine.memory
        recall = {"topK": _TOP_K, "messageRange": _RANGE, "scope": "resource"}
        schema = memory.working_memory_schema
        working_memory = {"enabled": True, "scope": "resource"}
        return {
            "config": {
                "lastMessages": _LAST,
                "semanticRecall": recall if memory.vectors.embedder else False,
                "workingMemory": {**working_memory, **({"schema": schema} if schema else {})},
                "observationalMemory": {"enabled": False},
            }
        }


def _of_thread(config: Any) -> bool:
    """Return whether a configuration of memory keeps the working memory in each thread."""
    working_memory = config.get("workingMemory") if isinstance(config, dict) else None
    return isinstance(working_memory, dict) and working_memory.get("scope") == "thread"


def _text(stored: WorkingMemory, schema: Mapping[str, Any] | None) -> str | None:
    """Return the working memory as text: its JSON with a schema or without a text of its own."""
    if not stored.version:
        return None
    if stored.data and (schema is not None or not stored.content):
        return json.dumps(stored.data, ensure_ascii=False)
    return stored.content


def _object(content: str) -> dict[str, Any]:
    """Return working memory that a schema describes; raises InvalidInput."""
    value = strict_loads(content.encode(), path="/workingMemory")
    if not isinstance(value, dict):
        raise InvalidInput("must be a JSON object, as the schema says", path="/workingMemory")
    return value


def _template(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template that clients fill in: a document without content."""
    return {"format": "json", "content": json.dumps(_empty(schema))}


def _empty(schema: Any) -> Any:
    """Return an empty value of a JSON Schema's type."""
    if not isinstance(schema, Mapping):
        return None
    if "properties" in schema:
        return {key: _empty(inner) for key, inner in schema["properties"].items()}
    return {"object": {}, "array": [], "string": ""}.get(str(schema.get("type")))


urlpatterns = [
    route(
        "memory/threads/<str:thread_id>/working-memory", WorkingMemoryView, name="working-memory"
    ),
    route("memory/status", StatusView, name="status"),
    route("memory/config", ConfigView, name="config"),
]
