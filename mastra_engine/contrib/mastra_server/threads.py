"""Views of threads: listing, creating, changing, deleting, cloning and transferring them."""

from __future__ import annotations

from heapq import merge
from operator import attrgetter
from typing import Any

from mastra_engine.api.views import route
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.paging import all_items
from mastra_engine.contrib.mastra_server.arguments import (
    Paging,
    date_text,
    json_value,
    ordering,
)
from mastra_engine.contrib.mastra_server.cloning import clone
from mastra_engine.contrib.mastra_server.selection import bounded, exact_filter
from mastra_engine.contrib.mastra_server.views import MastraView, call
from mastra_engine.exceptions import InvalidInput, ThreadExists
from mastra_engine.types import Thread

_ORDERS = {"createdAt": "created_at", "updatedAt": "updated_at"}
_READS = ("view_thread",)
#: Threads of so many resources are listed at once; each takes statements of its own.
_MOST_RESOURCES = 100


def thread_json(thread: Thread) -> dict[str, Any]:
    """Return a thread as the client reads it."""
    return {
        "id": thread.id,
        "resourceId": thread.resource_id,
        "title": thread.title,
        "metadata": thread.metadata,
        "createdAt": date_text(thread.created_at),
        "updatedAt": date_text(thread.updated_at),
    }


class ThreadsView(MastraView):
    @call(*_READS)
    def get(self) -> Any:
        """List the threads of a resource, or of all resources in the user's scope."""
        query = self.request.query_params
        paging = Paging.of(query, usual=100)
        field, direction = ordering(query, *_ORDERS) or ("createdAt", "DESC")
        memory = self.memory_of(query.get("resourceId"))
        where = exact_filter(json_value(query, "metadata"), "/metadata")
        resources = _resources(memory)
        total = sum(memory.count_threads(resource_id=id, metadata=where) for id in resources)
        lists = [
            all_items(
                memory.list_threads,
                resource_id=id,
                metadata=where,
                order="desc" if direction == "DESC" else "asc",
                order_by=_ORDERS[field],
                limit=paging.limit,
            )
            for id in resources
        ]
        threads = merge(*lists, key=attrgetter(_ORDERS[field], "id"), reverse=direction == "DESC")
        page = bounded(paging.select(threads), path="/perPage") if total > paging.skipped else []
        return {
            "threads": [thread_json(thread) for thread in page],
            **paging.info(total=total, size=len(page)),
        }

    @call("add_thread", "change_thread", *_READS)
    def post(self) -> Any:
        """Create a thread; one of the resource that exists gets the title and the metadata."""
        body = self.body
        owner = self.owner(body.get("resourceId"))
        memory, fields = self.memory_of(owner), _fields(body)
        id: Any = body.get("threadId")
        try:
            return thread_json(memory.create_thread(resource_id=owner, thread_id=id, **fields))
        except ThreadExists:
            return thread_json(memory.update_thread(thread_id=id, **fields, mode="replace"))


class ThreadView(MastraView):
    @call(*_READS)
    def get(self, thread_id: str) -> Any:
        """Read a thread."""
        memory = self.memory_of(self.request.query_params.get("resourceId"))
        return thread_json(memory.get_thread(thread_id=thread_id))

    @call("change_thread", *_READS)
    def patch(self, thread_id: str) -> Any:
        """Change the title, and replace the metadata."""
        body = self.body
        memory = self.memory_of(body.get("resourceId"))
        fields = _fields(body)
        return thread_json(memory.update_thread(thread_id=thread_id, **fields, mode="replace"))

    @call("delete_thread", *_READS)
    def delete(self, thread_id: str) -> Any:
        """Delete a thread with its messages."""
        memory = self.memory_of(self.request.query_params.get("resourceId"))
        memory.delete_thread(thread_id=thread_id)
        return {"result": "Thread deleted"}


class CloneView(MastraView):
    @call("view_message", "add_thread", "add_message", *_READS)
    def post(self, thread_id: str) -> Any:
        """Copy a thread, whole or with some of its messages."""
        body = self.body
        thread, messages = clone(self.memory_of(body.get("resourceId")), thread_id, body)
        return {"thread": thread_json(thread), "clonedMessages": messages}


class TransferView(MastraView):
    @call("change_thread", *_READS)
    def post(self, thread_id: str) -> Any:
        """Give a thread to another resource, which must be in the user's scope, too."""
        resource: Any = self.body.get("resourceId")
        self.memory_of(resource)
        return thread_json(
            self.engine.memory.transfer_thread(thread_id=thread_id, resource_id=resource)
        )


def _resources(memory: Memory) -> list[str]:
    """Return the resources in scope; raises InvalidInput if there are too many to list them all."""
    resources = memory.resource_ids
    if resources is None or len(resources) > _MOST_RESOURCES:
        message = f"is required for users with more than {_MOST_RESOURCES} resources"
        raise InvalidInput(message, path="/resourceId")
    return sorted(resources)


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    """Return the title and the metadata that a body has."""
    return {name: body[name] for name in ("title", "metadata") if name in body}


urlpatterns = [
    route("memory/threads", ThreadsView, name="threads"),
    route("memory/threads/<str:thread_id>", ThreadView, name="thread"),
    route("memory/threads/<str:thread_id>/clone", CloneView, name="thread-clone"),
    route("memory/threads/<str:thread_id>/transfer", TransferView, name="thread-transfer"),
]
