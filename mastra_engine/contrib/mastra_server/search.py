"""The view of the search in messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mastra_engine.api.views import route
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.conf import api_settings
from mastra_engine.contrib.mastra_server.arguments import date_text, integer, json_object
from mastra_engine.contrib.mastra_server.message_format import role_of, text_of
from mastra_engine.contrib.mastra_server.views import MastraView, call
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Message, RecalledMessage
from mastra_engine.validation.inputs import count

#: The number of results, and of messages around each, unless a request says otherwise.
_LIMIT, _AROUND = 20, 2


class SearchView(MastraView):
    @call("view_thread", "view_message", searches=True)
    def get(self) -> Any:
        """Search the messages of a resource, or of one thread, and return the best first."""
        query = self.request.query_params
        words, resource = query.get("searchQuery"), self.owner(query.get("resourceId"))
        if not words:
            raise InvalidInput("is missing", path="/searchQuery")
        memory = self.memory_of(resource)
        config = json_object(query, "memoryConfig").get("semanticRecall")
        config = config if isinstance(config, dict) else {}
        # As on Mastra's server, a thread's id alone does not narrow the search.
        in_thread = config.get("scope") == "thread" and "threadId" in query
        most = api_settings().max_page
        limit = integer(query, "limit", min(_LIMIT, most), most=most)
        around = _range(config.get("messageRange"))
        recalled = memory.recall(
            query=words,
            resource_id=resource,
            thread_id=query["threadId"] if in_thread else None,
            top_k=count(
                config.get("topK", max(limit, 1)), "/memoryConfig/topK", least=1, most=most
            ),
            message_range=around,
        )
        results = _results(memory, recalled, *around)[:limit]
        return {
            "results": results,
            "count": len(results),
            "query": words,
            "searchScope": "thread" if in_thread else "resource",
            "searchType": "semantic",
        }


def _range(value: Any) -> tuple[Any, Any]:
    """Return the numbers of messages before and after a result; the engine validates them."""
    if isinstance(value, dict):
        return value.get("before", _AROUND), value.get("after", _AROUND)
    return (_AROUND, _AROUND) if value is None else (value, value)


def _results(
    memory: Memory, recalled: Sequence[RecalledMessage], before: int, after: int
) -> list[dict[str, Any]]:
    hits = [(message.score, message) for message in recalled if message.score is not None]
    hits.sort(key=lambda hit: -hit[0])
    threads = {
        id: memory.get_thread(thread_id=id)
        for id in dict.fromkeys(message.thread_id for _, message in hits)
    }

    def near(hit: Message) -> list[RecalledMessage]:
        """Return the messages around a hit; those of joined ranges may be farther from it."""
        first, last = hit.position - before, hit.position + after
        return [
            message
            for message in recalled
            if message.thread_id == hit.thread_id and first <= message.position <= last
        ]

    return [
        {
            **_summary(hit),
            "threadId": hit.thread_id,
            "threadTitle": threads[hit.thread_id].title or hit.thread_id,
            "context": {
                "before": [_summary(item) for item in near(hit) if item.position < hit.position],
                "after": [_summary(item) for item in near(hit) if item.position > hit.position],
            },
        }
        for _, hit in hits
    ]


def _summary(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "role": role_of(message),
        "content": text_of(message),
        "createdAt": date_text(message.created_at),
    }


urlpatterns = [route("memory/search", SearchView, name="search")]
