"""Views of threads, messages, context windows, recall and working memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mastra_engine.api.operations import Deleted, Example, operation
from mastra_engine.api.parsers import BoundedLinesParser, JsonParser
from mastra_engine.api.views import EngineView, route
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.types import (
    ContextWindow,
    MemoryView,
    Message,
    Page,
    RecalledMessage,
    Thread,
    WorkingMemory,
)

_TIME = "2026-01-02T03:04:05Z"
_CHAT, _OWNER = {"thread_id": "chat-1"}, {"resource_id": "7"}
_THREAD = {
    "id": "chat-1",
    "resource_id": "7",
    "title": "Lunch",
    "metadata": {"channel": "web"},
    "version": 1,
    "message_count": 2,
    "created_at": _TIME,
    "updated_at": _TIME,
}
_QUESTION = {
    "id": "m-1",
    "thread_id": "chat-1",
    "position": 1,
    "role": "user",
    "content": [{"type": "text", "text": "I am vegan. What can I eat here?"}],
    "tool_call_id": None,
    "tokens": 12,
    "metadata": {},
    "created_at": _TIME,
}
_ANSWER = {
    **_QUESTION,
    "id": "m-2",
    "position": 2,
    "role": "assistant",
    "content": [{"type": "text", "text": "The lentil soup."}],
    "tokens": 8,
}
_SCORES = {
    "score": 0.68,
    "similarity": 0.41,
    "lexical": 0.28,
    "explanation": {
        "parts": [
            {
                "name": "similarity",
                "value": 0.41,
                "weight": 0.4,
                "words": {},
                "message_id": None,
            },
            {
                "name": "lexical",
                "value": 0.28,
                "weight": 0.6,
                "words": {"vegan": 0.28},
                "message_id": None,
            },
        ]
    },
}
_WORKING_MEMORY = {"content": "", "data": {"diet": "vegan"}, "version": 1}


class ThreadsView(EngineView):
    @operation(
        Memory.list_threads,
        "view_thread",
        fills=("resource_id",),
        example=Example(
            query={"resource_id": "7", "metadata": '{"channel": "web"}'},
            answer={"items": [_THREAD], "next_cursor": None},
        ),
    )
    def get(self, **arguments: Any) -> Page[Thread]:
        """List a resource's threads.

        The thread that was used last comes first, unless `order` is `asc`. With `created_at` as
        `order_by`, the one that was created last does.
        """
        return self.engine.memory.list_threads(**arguments)

    @operation(
        Memory.create_thread,
        "add_thread",
        fills=("resource_id",),
        status=201,
        example=Example(
            body={"thread_id": "chat-2", "title": "Dinner", "metadata": {"channel": "web"}},
            answer={**_THREAD, "id": "chat-2", "title": "Dinner", "message_count": 0},
        ),
    )
    def post(self, **arguments: Any) -> Thread:
        """Create a thread.

        The server creates an id unless the request has a `thread_id`. An id that exists is refused
        with 409.
        """
        return self.engine.memory.create_thread(**arguments)


class ThreadView(EngineView):
    @operation(Memory.get_thread, "view_thread", example=Example(path=_CHAT, answer=_THREAD))
    def get(self, **arguments: Any) -> Thread:
        """Read a thread.

        The response has the title, the metadata and the number of messages, not the messages.
        """
        return self.engine.memory.get_thread(**arguments)

    @operation(
        Memory.update_thread,
        "change_thread",
        versioned=True,
        example=Example(
            path=_CHAT,
            body={"title": "Vegan lunch", "metadata": {"mood": "hungry"}},
            answer={
                **_THREAD,
                "title": "Vegan lunch",
                "metadata": {"channel": "web", "mood": "hungry"},
                "version": 2,
            },
        ),
    )
    def patch(self, **arguments: Any) -> Thread:
        """Change a thread's title and metadata.

        The top-level keys of `metadata` are merged into the stored ones, or replace them with
        `replace` as the `mode`. Values that the request omits do not change.
        """
        return self.engine.memory.update_thread(**arguments)

    @operation(
        Memory.delete_thread,
        "delete_thread",
        versioned=True,
        example=Example(path=_CHAT, answer=_THREAD),
    )
    def delete(self, **arguments: Any) -> Thread:
        """Delete a thread.

        Its messages, their vectors and its working memory are deleted with it. The response is the
        deleted thread.
        """
        return self.engine.memory.delete_thread(**arguments)


class CloneView(EngineView):
    @operation(
        Memory.clone_thread,
        "view_message",
        "add_thread",
        "add_message",
        status=201,
        example=Example(
            path=_CHAT,
            body={"new_thread_id": "chat-2", "up_to_message_id": "m-1"},
            answer={**_THREAD, "id": "chat-2", "message_count": 1},
        ),
    )
    def post(self, **arguments: Any) -> Thread:
        """Copy a thread with its messages.

        The messages get new ids, and positions from 1. Working memory is not copied.
        """
        return self.engine.memory.clone_thread(**arguments)


class ExportView(EngineView):
    @operation(
        Memory.export_thread,
        "view_thread",
        "view_message",
        example=Example(
            path=_CHAT,
            answer='{"id":"chat-1","resource_id":"7","title":"Lunch",…}\n{"id":"m-1",…}\n',
        ),
    )
    def get(self, **arguments: Any) -> Iterator[str]:
        """Export a thread as JSON Lines.

        The first line is the thread, each other line one message by position.
        """
        return self.engine.memory.export_thread(**arguments)


class ImportView(EngineView):
    parser_classes = [JsonParser, BoundedLinesParser]

    @operation(
        Memory.import_thread,
        "add_thread",
        "add_message",
        fills=("resource_id",),
        status=201,
        lines="lines",
        example=Example(
            body={
                "lines": [
                    {**_OWNER, "id": "chat-2", "title": "Dinner", "metadata": {"channel": "web"}},
                    {"id": "m-3", "role": "user", "content": "How late are you open?"},
                ]
            },
            answer={**_THREAD, "id": "chat-2", "title": "Dinner", "message_count": 1},
        ),
    )
    def post(self, **arguments: Any) -> Thread:
        """Create a thread from an export.

        The body is JSON Lines, or JSON with a list of `lines`. Either all of it is stored or
        nothing. With another `thread_id` the messages get new ids.
        """
        return self.engine.memory.import_thread(**arguments)


class MessagesView(EngineView):
    @operation(
        Memory.list_messages,
        "view_message",
        example=Example(
            path=_CHAT,
            query={"role": "user"},
            answer={"items": [_QUESTION], "next_cursor": None},
        ),
    )
    def get(self, **arguments: Any) -> Page[Message]:
        """List a thread's messages.

        The order is that of their positions.
        """
        return self.engine.memory.list_messages(**arguments)

    @operation(
        Memory.save_memory,
        "add_message",
        name="save_messages",
        status=201,
        example=Example(
            path=_CHAT,
            body={
                "messages": [
                    {"id": "m-3", "role": "user", "content": "How much is it?"},
                ],
            },
            answer={
                "items": [
                    {
                        **_QUESTION,
                        "id": "m-3",
                        "position": 3,
                        "content": [{"type": "text", "text": "How much is it?"}],
                        "tokens": 8,
                    }
                ],
                "next_cursor": None,
            },
        ),
    )
    def post(self, **arguments: Any) -> Page[Message]:
        """Append messages to a thread.

        Either all messages are stored or none. With a `resource_id`, a thread that does not exist
        is created.
        """
        return Page(self.engine.memory.save_memory(**arguments))


class ReadMessagesView(EngineView):
    @operation(
        Memory.get_messages_by_id,
        "view_message",
        example=Example(
            body={"ids": ["m-2", "unknown"]}, answer={"items": [_ANSWER], "next_cursor": None}
        ),
    )
    def post(self, **arguments: Any) -> Page[Message]:
        """Read messages by their ids.

        They are returned in the order of the ids. Unknown ids are left out. If messages follow
        those that have 8 MiB of JSON, the request is refused with 400.
        """
        return Page(self.engine.memory.get_messages_by_id(**arguments))


class DeleteMessagesView(EngineView):
    @operation(
        Memory.delete_messages,
        "delete_message",
        example=Example(body={"ids": ["m-2", "unknown"]}, answer={"deleted": 1}),
    )
    def post(self, **arguments: Any) -> Deleted:
        """Delete messages and their vectors.

        The other messages keep their positions. Unknown ids are ignored.
        """
        return Deleted(self.engine.memory.delete_messages(**arguments))


class ThreadMemoryView(EngineView):
    @operation(
        Memory.get_memory,
        "view_message",
        searches=True,
        example=Example(
            path=_CHAT,
            query={"last": "1"},
            answer={
                "thread": _THREAD,
                "messages": [_ANSWER],
                "recalled": [],
                "working_memory": _WORKING_MEMORY,
                "facts": [],
            },
        ),
    )
    def get(self, **arguments: Any) -> MemoryView:
        """Read a thread's last messages with recalled ones.

        With a `query`, messages of a similar meaning are returned in `recalled`. The response has
        the working memory, too. The last messages end with the one that brings them to 8 MiB of
        JSON, as do the recalled ones.
        """
        return self.engine.memory.get_memory(**arguments)


class ContextWindowView(EngineView):
    @operation(
        Memory.get_context_window,
        "view_message",
        "view_workingmemory",
        searches=True,
        example=Example(
            path=_CHAT,
            query={"max_tokens": "1000", "format": "openai", "working_memory": "true"},
            answer={
                "messages": [
                    {"role": "system", "content": 'Working memory:\n{"diet":"vegan"}'},
                    {"role": "user", "content": "I am vegan. What can I eat here?"},
                    {"role": "assistant", "content": "The lentil soup."},
                ],
                "tokens": 32,
                "truncated": False,
                "system": None,
                "facts": [],
            },
        ),
    )
    def get(self, **arguments: Any) -> ContextWindow:
        """Build the messages of a prompt.

        The newest messages that fit `max_tokens` are returned, oldest first, in the format of a
        model's client. A tool call is never separated from its result. `system`, the working
        memory and recalled messages come first and take at most half of the budget. The window
        ends, at its older end, with the message that brings it to 32 MiB of JSON; then `truncated`
        is true.
        """
        return self.engine.memory.get_context_window(**arguments)


class RecallView(EngineView):
    @operation(
        Memory.recall,
        "view_message",
        searches=True,
        example=Example(
            body={
                "query": "vegan",
                "thread_id": "chat-1",
                "top_k": 1,
                "message_range": [0, 0],
                "explain": True,
            },
            answer={"items": [{**_QUESTION, **_SCORES}], "next_cursor": None},
        ),
    )
    def post(self, **arguments: Any) -> Page[RecalledMessage]:
        """Search messages by meaning and by words.

        The search covers one thread, or all threads of a resource. Matches and their neighbours
        form message ranges, of which the best comes first. With `[0, 0]` as `message_range`, the
        matches alone are returned, best first. `min_score` can make the response empty. The
        messages end with the one that brings them to 8 MiB of JSON: all matches come before
        neighbours.
        """
        if "thread_id" not in arguments:
            arguments = {**self.defaults(("resource_id",)), **arguments}
        return Page(self.engine.memory.recall(**arguments))


_REPLACED: dict[str, Any] = {
    "body": {"content": "Likes soup."},
    "answer": {**_WORKING_MEMORY, "content": "Likes soup.", "version": 2},
}
_PATCHED: dict[str, Any] = {
    "body": {"patch": {"name": "Ann"}},
    "answer": {**_WORKING_MEMORY, "data": {"diet": "vegan", "name": "Ann"}, "version": 2},
}


def working_memory(of: str, where: dict[str, str]) -> type[EngineView]:
    """Return the view of a thread's or a resource's working memory; `where` is its example path."""
    others = {"thread_id", "resource_id"} - where.keys()

    class WorkingMemoryView(EngineView):
        @operation(
            Memory.get_working_memory,
            "view_workingmemory",
            name=f"get_{of}_working_memory",
            without=others,
            example=Example(path=where, answer=_WORKING_MEMORY),
        )
        def get(self, **arguments: Any) -> WorkingMemory:
            """Read the working memory.

            Version 0 means that nothing was stored yet.
            """
            return self.engine.memory.get_working_memory(**arguments)

        @operation(
            Memory.update_working_memory,
            "change_workingmemory",
            name=f"replace_{of}_working_memory",
            without={*others, "patch"},
            versioned=True,
            example=Example(path=where, **_REPLACED),
        )
        def put(self, **arguments: Any) -> WorkingMemory:
            """Replace the working memory.

            A text replaces the text, and an object replaces the JSON.
            """
            return self.engine.memory.update_working_memory(**arguments)

        @operation(
            Memory.update_working_memory,
            "change_workingmemory",
            name=f"patch_{of}_working_memory",
            without={*others, "content"},
            versioned=True,
            example=Example(path=where, **_PATCHED),
        )
        def patch(self, **arguments: Any) -> WorkingMemory:
            """Change keys of the working memory.

            The JSON merge patch (RFC 7396) is applied to the JSON: null removes a key.
            """
            return self.engine.memory.update_working_memory(**arguments)

    return WorkingMemoryView


ThreadWorkingMemoryView = working_memory("thread", _CHAT)
ResourceWorkingMemoryView = working_memory("resource", _OWNER)

urlpatterns = [
    route("import/", ImportView, name="import"),
    route("threads/", ThreadsView, name="threads"),
    route("threads/<str:thread_id>/", ThreadView, name="thread"),
    route("threads/<str:thread_id>/clone/", CloneView, name="thread-clone"),
    route("threads/<str:thread_id>/export/", ExportView, name="thread-export"),
    route("threads/<str:thread_id>/messages/", MessagesView, name="thread-messages"),
    route("threads/<str:thread_id>/memory/", ThreadMemoryView, name="thread-memory"),
    route("threads/<str:thread_id>/context/", ContextWindowView, name="thread-context"),
    route(
        "threads/<str:thread_id>/working-memory/",
        ThreadWorkingMemoryView,
        name="thread-working-memory",
    ),
    route(
        "resources/<str:resource_id>/working-memory/",
        ResourceWorkingMemoryView,
        name="resource-working-memory",
    ),
    route("messages/read/", ReadMessagesView, name="messages-read"),
    route("messages/delete/", DeleteMessagesView, name="messages-delete"),
    route("recall/", RecallView, name="recall"),
]
