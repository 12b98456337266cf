"""A world that the API is asked about, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from mastra_engine import MastraEngine
from mastra_engine.handler import engines
from mastra_engine.testing.contract.recall import BagOfWords

BACKENDS = {
    "mock": "mastra_engine.MockMastraEngine",
    "postgres": "mastra_engine.PostgresEngine",
}
API = "/api/v1"


def client_of(user: User | None) -> APIClient:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(user)
    return client


@pytest.fixture(params=BACKENDS)
def engine(request: Any, settings: Any, db: None) -> Iterator[MastraEngine]:
    settings.MASTRA_ENGINE = {
        "default": {"BACKEND": BACKENDS[request.param], "EMBEDDER": BagOfWords}
    }
    made = engines["default"]
    if request.param == "mock":
        made.reset()  # type: ignore[attr-defined]
    return made


@dataclass(frozen=True)
class World:
    """What ann, who is user 7, and bob, user 8, have alike."""

    engine: MastraEngine
    ann: APIClient
    bob: APIClient
    staff: APIClient
    nobody: APIClient
    entity_id: str


def furnish(engine: MastraEngine, owner: str, prefix: str = "") -> str:
    """Make what the examples of the API are about; return the id of the entity."""
    memory = engine.memory
    memory.create_thread(
        resource_id=owner,
        thread_id=f"{prefix}chat-1",
        title="Lunch",
        metadata={"channel": "web"},
    )
    said = [("user", "I am vegan. What can I eat here?"), ("assistant", "The lentil soup.")]
    messages: Any = [
        {"id": f"{prefix}m-{number}", "role": role, "content": text}
        for number, (role, text) in enumerate(said, start=1)
    ]
    memory.save_memory(thread_id=f"{prefix}chat-1", messages=messages)
    memory.update_working_memory(resource_id=owner, content={"diet": "vegan"})
    memory.update_working_memory(thread_id=f"{prefix}chat-1", content={"diet": "vegan"})
    return ""


@pytest.fixture
def world(engine: MastraEngine) -> World:
    return World(
        engine=engine,
        ann=client_of(User(pk=7, username="ann")),
        bob=client_of(User(pk=8, username="bob")),
        staff=client_of(User(pk=9, username="eve", is_staff=True, is_superuser=True)),
        nobody=client_of(None),
        entity_id=furnish(engine, "7"),
    )
