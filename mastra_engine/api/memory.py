"""Threads, messages, context windows, recall and working memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import path

from mastra_engine.api.operations import Deleted, Example, operation
from mastra_engine.api.parsers import HeldLinesParser, JsonParser
from mastra_engine.api.views import EngineView
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
_IN_MIND = {"content": "", "data": {"diet": "vegan"}, "version": 1}


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
    def get(self, **given: Any) -> Page[Thread]:
        """List a resource's threads, those last used first.

        `metadata` is a filter, as JSON.
        """
        return self.engine.memory.list_threads(**given)

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
    def post(self, **given: Any) -> Thread:
        """Create a thread, with an id of its own unless one is given."""
        return self.engine.memory.create_thread(**given)


class ThreadView(EngineView):
    @operation(Memory.get_thread, "view_thread", example=Example(path=_CHAT, answer=_THREAD))
    def get(self, **given: Any) -> Thread:
        """Read a thread."""
        return self.engine.memory.get_thread(**given)

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
    def patch(self, **given: Any) -> Thread:
        """Set the title, merge top-level keys into the metadata."""
        return self.engine.memory.update_thread(**given)

    @operation(
        Memory.delete_thread,
        "delete_thread",
        versioned=True,
        example=Example(path=_CHAT, answer=_THREAD),
    )
    def delete(self, **given: Any) -> Thread:
        """Delete a thread with its messages, their vectors and its working memory."""
        return self.engine.memory.delete_thread(**given)


class CloneView(EngineView):
    @operation(
        Memory.clone_thread,
        "view_thread",
        "add_thread",
        status=201,
        example=Example(
            path=_CHAT,
            body={"new_thread_id": "chat-2", "up_to_message_id": "m-1"},
            answer={**_THREAD, "id": "chat-2", "message_count": 1},
        ),
    )
    def post(self, **given: Any) -> Thread:
        """Copy a thread, whole or up to a message."""
        return self.engine.memory.clone_thread(**given)


class ExportView(EngineView):
    @operation(
        Memory.export_thread,
        "view_message",
        example=Example(
            path=_CHAT,
            answer='{"id":"chat-1","resource_id":"7","title":"Lunch",…}\n{"id":"m-1",…}\n',
        ),
    )
    def get(self, **given: Any) -> Iterator[str]:
        """Export a thread as lines of JSON, itself first, then its messages."""
        return self.engine.memory.export_thread(**given)


class ImportView(EngineView):
    parser_classes = [JsonParser, HeldLinesParser]

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
    def post(self, **given: Any) -> Thread:
        """Make a thread of what an export gave, as JSON Lines or as JSON, whole or not at all.

        Under another `thread_id` messages get new ids.
        """
        return self.engine.memory.import_thread(**given)


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
    def get(self, **given: Any) -> Page[Message]:
        """List a thread's messages by position.

        `metadata` is a filter, as JSON.
        """
        return self.engine.memory.list_messages(**given)

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
    def post(self, **given: Any) -> Page[Message]:
        """Append messages to a thread, all or none.

        With a `resource_id` the thread is made when there is none.
        """
        return Page(self.engine.memory.save_memory(**given))


class ManyMessagesView(EngineView):
    @operation(
        Memory.get_messages_by_id,
        "view_message",
        example=Example(
            body={"ids": ["m-2", "unknown"]}, answer={"items": [_ANSWER], "next_cursor": None}
        ),
    )
    def post(self, **given: Any) -> Page[Message]:
        """Read messages by their ids; unknown ones are left out."""
        return Page(self.engine.memory.get_messages_by_id(**given))


class DeleteMessagesView(EngineView):
    @operation(
        Memory.delete_messages,
        "delete_message",
        example=Example(body={"ids": ["m-2", "unknown"]}, answer={"deleted": 1}),
    )
    def post(self, **given: Any) -> Deleted:
        """Delete messages and their vectors; the others keep their positions."""
        return Deleted(self.engine.memory.delete_messages(**given))


class MemoryOfThreadView(EngineView):
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
                "working_memory": _IN_MIND,
            },
        ),
    )
    def get(self, **given: Any) -> MemoryView:
        """Read the last messages of a thread, and what `query` recalls beside them."""
        return self.engine.memory.get_memory(**given)


class ContextWindowView(EngineView):
    @operation(
        Memory.get_context_window,
        "view_message",
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
            },
        ),
    )
    def get(self, **given: Any) -> ContextWindow:
        """Read the newest messages that fit, oldest first, as a model's client takes them."""
        return self.engine.memory.get_context_window(**given)


class RecallView(EngineView):
    @operation(
        Memory.recall,
        "view_message",
        searches=True,
        example=Example(
            body={"query": "vegan", "thread_id": "chat-1", "top_k": 1, "message_range": [0, 0]},
            answer={"items": [{**_QUESTION, "score": 0.5}], "next_cursor": None},
        ),
    )
    def post(self, **given: Any) -> Page[RecalledMessage]:
        """Find messages by meaning, in a thread or in all of a resource's.

        The best stretch of messages comes first; `score` is null for the neighbours of a hit.
        """
        if "thread_id" not in given:
            given = {**self.usual(("resource_id",)), **given}
        return Page(self.engine.memory.recall(**given))


def working_memory(of: str, where: dict[str, str]) -> type[EngineView]:
    """Return the view of working memory of a "thread" or of a "resource", which the URL names."""
    others = {"thread_id", "resource_id"} - where.keys()

    class WorkingMemoryView(EngineView):
        @operation(
            Memory.get_working_memory,
            "view_workingmemory",
            name=f"get_{of}_working_memory",
            without=others,
            example=Example(path=where, answer=_IN_MIND),
        )
        def get(self, **given: Any) -> WorkingMemory:
            """Read what an agent keeps in mind; version 0 is nothing yet."""
            return self.engine.memory.get_working_memory(**given)

        @operation(
            Memory.update_working_memory,
            "change_workingmemory",
            name=f"replace_{of}_working_memory",
            without={*others, "patch"},
            versioned=True,
            example=Example(
                path=where,
                body={"content": "Likes soup."},
                answer={**_IN_MIND, "content": "Likes soup.", "version": 2},
            ),
        )
        def put(self, **given: Any) -> WorkingMemory:
            """Replace the text, or the JSON when `content` is an object."""
            return self.engine.memory.update_working_memory(**given)

        @operation(
            Memory.update_working_memory,
            "change_workingmemory",
            name=f"patch_{of}_working_memory",
            without={*others, "content"},
            versioned=True,
            example=Example(
                path=where,
                body={"patch": {"name": "Ann"}},
                answer={**_IN_MIND, "data": {"diet": "vegan", "name": "Ann"}, "version": 2},
            ),
        )
        def patch(self, **given: Any) -> WorkingMemory:
            """Merge into the JSON (RFC 7396): null removes a key."""
            return self.engine.memory.update_working_memory(**given)

    return WorkingMemoryView


_OF_THREAD, _OF_RESOURCE = working_memory("thread", _CHAT), working_memory("resource", _OWNER)

urlpatterns = [
    path("import/", ImportView.as_view()),
    path("threads/", ThreadsView.as_view()),
    path("threads/<str:thread_id>/", ThreadView.as_view()),
    path("threads/<str:thread_id>/clone/", CloneView.as_view()),
    path("threads/<str:thread_id>/export/", ExportView.as_view()),
    path("threads/<str:thread_id>/messages/", MessagesView.as_view()),
    path("threads/<str:thread_id>/memory/", MemoryOfThreadView.as_view()),
    path("threads/<str:thread_id>/context/", ContextWindowView.as_view()),
    path("threads/<str:thread_id>/working-memory/", _OF_THREAD.as_view()),
    path("resources/<str:resource_id>/working-memory/", _OF_RESOURCE.as_view()),
    path("messages/read/", ManyMessagesView.as_view()),
    path("messages/delete/", DeleteMessagesView.as_view()),
    path("recall/", RecallView.as_view()),
]
