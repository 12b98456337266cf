"""Resources: threads and records that a client reads by their URI."""

from __future__ import annotations

from dataclasses import dataclass

from mcp import types
from mcp.shared.uri_template import UriTemplate

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.conf import api_settings
from mastra_engine.mcp.callers import Caller
from mastra_engine.mcp.tools import Tool, list_threads, tool
from mastra_engine.types import MemoryView, Record, Thread

JSON = "application/json"


@tool(Memory.get_thread, "view_thread")
def thread(caller: Caller, thread_id: str) -> MemoryView:
    """A conversation: its newest messages, oldest first, and its working memory."""
    return caller.engine.memory.get_memory(thread_id=thread_id, last=api_settings().max_page)


@tool(MastraEngine.get_record)
def record(caller: Caller, entity_id: str, external_id: str) -> Record:
    """A synced record: a document of an entity, as the source system last sent it."""
    return caller.engine.get_record(entity_id=entity_id, external_id=external_id)


@dataclass(frozen=True)
class Template:
    """The URIs of a kind of resource, and the function that reads one."""

    uri: UriTemplate
    reader: Tool

    def definition(self) -> types.ResourceTemplate:
        """Return the definition of the template for clients."""
        return types.ResourceTemplate(
            uri_template=str(self.uri),
            name=self.reader.name,
            title=self.reader.name.capitalize(),
            description=self.reader.description,
            mime_type=JSON,
        )


THREADS = Template(UriTemplate.parse("mastra-engine://threads/{thread_id}"), thread)
RECORDS = Template(
    UriTemplate.parse("mastra-engine://entities/{entity_id}/records/{external_id}"), record
)
TEMPLATES = [THREADS, RECORDS]


def resource_of(thread: Thread) -> types.Resource:
    """Return a thread as a resource of a list."""
    return types.Resource(
        uri=THREADS.uri.expand({"thread_id": thread.id}),
        name=thread.id,
        title=thread.title or None,
        mime_type=JSON,
    )


def list_resources(caller: Caller, cursor: str | None) -> types.ListResourcesResult:
    """Return a page of the caller's own threads; a caller without an own id has none."""
    if not caller.defaults(list_threads.fills):
        return types.ListResourcesResult(resources=[])
    page = list_threads.call(caller, {"cursor": cursor})
    return types.ListResourcesResult(
        resources=[resource_of(thread) for thread in page], next_cursor=page.next_cursor
    )
