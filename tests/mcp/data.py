"""What two users have, and calls of every tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token

from mastra_engine import MastraEngine


@dataclass(frozen=True)
class Owner:
    """A user, the user's token, and the ids of what the user has."""

    user: User
    token: str
    thread_id: str
    entity_id: str

    @property
    def id(self) -> str:
        """The user's own resource, connection and namespace."""
        return str(self.user.pk)

    @property
    def secret(self) -> str:
        """A word that is in everything that the user has, and nowhere else."""
        return f"secret{self.user.username}"


def furnish(engine: MastraEngine, name: str) -> Owner:
    """Make a user who has a thread, working memory, a fact, records and a vector."""
    user = User.objects.create_user(name)
    token = Token.objects.create(user=user)
    owner = Owner(user, token.key, f"chat-{name}", "")
    word = owner.secret
    engine.memory.save_memory(
        thread_id=owner.thread_id,
        resource_id=owner.id,
        messages=[
            {"role": "user", "content": f"My soup is {word}"},
            {"role": "assistant", "content": "Enjoy the soup"},
        ],
    )
    engine.memory.update_thread(thread_id=owner.thread_id, title=word)
    engine.memory.update_working_memory(resource_id=owner.id, content={"soup": word})
    contacts = [
        {"external_id": "c/1", "data": {"name": f"Alice {word}", "age": 34}},
        {"external_id": "c2", "data": {"name": f"Bob {word}", "age": 17}},
    ]
    engine.facts.remember(
        resource_id=owner.id,
        facts=[{"subject": "soup", "predicate": "is", "object": word}],
    )
    synced = engine.sync_records(name="Contacts", connection_id=owner.id, records=contacts)
    engine.vectors.create_index(index_name="docs", dimension=512)
    engine.vectors.upsert(index_name="docs", documents=[f"soup {word}"], namespace=owner.id)
    return Owner(user, token.key, owner.thread_id, str(synced.entity.id))


def calls(owner: Owner) -> dict[str, dict[str, Any]]:
    """Return the arguments of a call of each tool that names what the owner has."""
    return {
        "recall": {"query": "soup", "resource_id": owner.id},
        "save_messages": {
            "thread_id": owner.thread_id,
            "resource_id": owner.id,
            "messages": [{"role": "user", "content": "More soup"}],
        },
        "get_context_window": {"thread_id": owner.thread_id, "query": "soup", "format": "openai"},
        "get_working_memory": {"resource_id": owner.id},
        "update_working_memory": {"resource_id": owner.id, "patch": {"bread": True}},
        "list_threads": {"resource_id": owner.id},
        "list_entities": {"connection_id": owner.id},
        "query_records": {
            "entity_name": "Contacts",
            "connection_id": owner.id,
            "filters": {"age": {"$gte": 18}},
        },
        "search_records": {"query": "Alice", "connection_id": owner.id, "top_k": 1},
        "get_changes": {"entity_id": owner.entity_id, "limit": 1},
        "search_vectors": {"index_name": "docs", "query_text": "soup", "namespace": owner.id},
        "remember_fact": {
            "resource_id": owner.id,
            "facts": [{"subject": "Ann", "predicate": "likes", "object": "bread", "many": True}],
        },
        "search_facts": {"resource_id": owner.id, "query": "soup"},
    }


def own_calls(owner: Owner) -> dict[str, dict[str, Any]]:
    """Return the same calls without the owner's resource, connection and namespace."""
    own = ("resource_id", "connection_id", "namespace")
    return {
        tool: {name: value for name, value in arguments.items() if name not in own}
        for tool, arguments in calls(owner).items()
    }
