"""A world that the API is asked about, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from rest_framework.test import APIClient

from mastra_engine import MastraEngine, PostgresEngine
from mastra_engine.handler import engines
from mastra_engine.registry import index_records, registry, sync
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.testing.contract.sync_runs import Held
from tests.api.catalogue import Case

BACKENDS = {
    "mock": "mastra_engine.MockMastraEngine",
    "postgres": "mastra_engine.PostgresEngine",
}
API = "/api/v1"


def client_of(user: User | None) -> APIClient:
    client = APIClient(raise_request_exception=False)
    if user is not None:  # logging out would need a session
        client.force_authenticate(user)
    return client


@pytest.fixture(params=BACKENDS)
def engine(request: Any, settings: Any, db: None) -> Iterator[MastraEngine]:
    settings.MASTRA_ENGINE = {
        "default": {"BACKEND": BACKENDS[request.param], "EMBEDDER": BagOfWords}
    }
    original = engines["default"]
    if request.param == "mock":
        original.reset()  # type: ignore[attr-defined]
    original.memory.embeds_at_once = original.record_search.indexes_at_once = False
    with registry.empty():
        for name in ("contacts", "deals"):
            sync(entity="Contacts", name=name)(lambda ctx: [])
        sync(entity="Contacts")(leads)
        index_records(entity="Contacts", index="people", text=lambda data: data.get("name"))
        original.queue = Held()
        yield original


def leads(ctx: Any) -> Iterator[Any]:
    """A sync of a page that is there already."""
    yield {"external_id": "c1", "data": {"name": "Alice", "age": 34}}
    ctx.save_checkpoint("page-1")


@dataclass(frozen=True)
class World:
    """An engine and its clients: ann, who is user 7, bob, user 8, staff and an anonymous client."""

    engine: MastraEngine
    ann: APIClient
    bob: APIClient
    staff: APIClient
    nobody: APIClient
    #: The variables in the URLs of the examples, as the ids of ann's objects.
    path: dict[str, str]
    #: Values that a test keeps from one request to the next.
    known: dict[str, Any] = field(default_factory=dict)

    def path_of(self, case: Case) -> dict[str, str]:
        """Return the values of the variables in an operation's URL in its example."""
        statuses = {"retry": "cancelled", "pages": "succeeded"}
        status = next((statuses[word] for word in statuses if word in case.route), "")
        ended = {"run_id": self.path[f"{status}_id"]} if status else {}
        return {**case.operation.example.path, **self.path, **ended}


def furnish(engine: MastraEngine, owner: str, prefix: str = "") -> dict[str, str]:
    """Create the objects of the API's examples; return the ids that the examples do not choose."""
    memory = engine.memory
    memory.create_thread(
        resource_id=owner,
        thread_id=f"{prefix}chat-1",
        title="Lunch",
        metadata={"channel": "web"},
    )
    texts = [("user", "I am vegan. What can I eat here?"), ("assistant", "The lentil soup.")]
    messages: Any = [
        {"id": f"{prefix}m-{number}", "role": role, "content": text}
        for number, (role, text) in enumerate(texts, start=1)
    ]
    memory.save_memory(thread_id=f"{prefix}chat-1", messages=messages)
    memory.update_working_memory(resource_id=owner, content={"diet": "vegan"})
    memory.update_working_memory(thread_id=f"{prefix}chat-1", content={"diet": "vegan"})
    engine.state.put(namespace=(owner, "prefs"), key="drinks", value={"likes": "green tea"})
    fact = {
        "subject": "Ann",
        "predicate": "eats",
        "object": "plant-based food",
        "sources": [{"message_id": f"{prefix}m-1", "quote": "I am vegan."}],
    }
    (remembered,) = engine.facts.remember(resource_id=owner, facts=[fact])
    contacts: Any = [
        {"external_id": "c1", "data": {"name": "Alice", "age": 34}},
        {"external_id": "c2", "data": {"name": "Bob", "age": 17}},
    ]
    engine.vectors.create_index(index_name="docs", dimension=3)
    engine.vectors.upsert(
        index_name="docs",
        namespace=owner,
        vectors=[[1, 0, 0], [0, 1, 0]],
        ids=["east", "north"],
        metadata=[{"lang": "en"}, {"lang": "de"}],
        documents=["the way east", "der Weg nach Norden"],
    )
    synced = engine.sync_records(
        name="Contacts", connection_id=owner, records=contacts, last_sync_id="page-1"
    )
    queued = engine.enqueue_sync("contacts", connection_id=owner)
    cancelled = engine.enqueue_sync("deals", connection_id=owner)
    engine.cancel_sync_run(id=cancelled.id)
    succeeded = engine.run_sync("leads", connection_id=owner)
    return {
        "entity_id": str(synced.entity.id),
        "fact_id": str(remembered.id),
        "run_id": str(queued.id),
        "cancelled_id": str(cancelled.id),
        "succeeded_id": str(succeeded.id),
    }


def state(engine: MastraEngine) -> Any:
    """Return all that ann has."""
    memory, vectors = engine.memory, engine.vectors
    threads = memory.list_threads(resource_id="7").items
    entities = engine.list_entities(connection_id="7").items
    facts = engine.facts.list_facts(resource_id="7", include_superseded=True).items
    indexes = [index.name for index in vectors.list_indexes()]
    return (
        threads,
        [memory.list_messages(thread_id=thread.id).items for thread in threads],
        [memory.get_working_memory(thread_id=thread.id) for thread in threads],
        memory.get_working_memory(resource_id="7"),
        engine.state.list_items(namespace_prefix=("7",)).items,
        [(fact, engine.facts.sources(id=fact.id)) for fact in facts],
        entities,
        [engine.get_changes(entity_id=entity.id) for entity in entities],
        engine.list_sync_runs(connection_id="7").items,
        engine.list_syncs(connection_id="7").items,
        indexes,
        [
            vectors.query(index_name=name, query_vector=[1, 1, 1], namespace="7")
            for name in indexes
            if name == "docs"
        ],
    )


def stored(engine: MastraEngine) -> Any:
    """Return all that there is, by one statement where there are tables."""
    if not isinstance(engine, PostgresEngine):
        return state(engine)
    tables = [model._meta.db_table for model in apps.get_app_config("mastra_engine").get_models()]
    rows = (f"SELECT '{table}', stored::text FROM {table} stored" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(rows))
        return sorted(cursor)


@pytest.fixture
def world(engine: MastraEngine) -> World:
    return World(
        engine=engine,
        ann=client_of(User(pk=7, username="ann")),
        bob=client_of(User(pk=8, username="bob")),
        staff=client_of(User(pk=9, username="eve", is_staff=True, is_superuser=True)),
        nobody=client_of(None),
        path=furnish(engine, "7"),
    )
