"""Clients of Mastra's routes, on both engines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from rest_framework.test import APIClient

from mastra_engine import MastraEngine
from mastra_engine.handler import engines
from mastra_engine.testing.contract.recall import BagOfWords
from tests.api.conftest import BACKENDS, client_of


@dataclass(frozen=True)
class Mastra:
    """The calls of one user."""

    client: APIClient

    def get(self, path: str, expected: int = 200, **query: Any) -> Any:
        return self._answer(self.client.get(f"/api{path}", query), expected)

    def delete(self, path: str, expected: int = 200) -> Any:
        return self._answer(self.client.delete(f"/api{path}"), expected)

    def post(self, path: str, body: Any, expected: int = 200) -> Any:
        return self.send("post", path, json.dumps(body), expected)

    def patch(self, path: str, body: Any, expected: int = 200) -> Any:
        return self.send("patch", path, json.dumps(body), expected)

    def send(
        self,
        method: str,
        path: str,
        body: str | bytes,
        expected: int = 200,
        content_type: str = "application/json",
    ) -> Any:
        return self._answer(self.raw(method, path, body, content_type), expected)

    def raw(
        self, method: str, path: str, body: str | bytes, content_type: str = "application/json"
    ) -> Any:
        """Send bytes and return the response, whatever it is."""
        return self.client.generic(method.upper(), f"/api{path}", body, content_type=content_type)

    def save(self, *texts: str, thread: str = "chat", resource: str = "7") -> list[Any]:
        """Save messages whose ids are their texts, and return them."""
        messages = [message(text, thread=thread, resource=resource) for text in texts]
        saved: list[Any] = self.post("/memory/save-messages", {"messages": messages})["messages"]
        return saved

    def _answer(self, response: Any, expected: int) -> Any:
        answer = response.json()
        assert response.status_code == expected, answer
        if expected >= 400:
            assert isinstance(answer["error"], str)
            assert answer["error"]
        return answer


def message(text: str, *, thread: str = "chat", resource: str = "7", **more: Any) -> dict[str, Any]:
    return {
        "id": text,
        "role": "user",
        "threadId": thread,
        "resourceId": resource,
        "createdAt": "2026-01-02T03:04:05.678Z",
        "content": {"format": 2, "parts": [{"type": "text", "text": text}]},
        **more,
    }


def ids(items: Any) -> list[str]:
    return [item["id"] for item in items]


@pytest.fixture(params=BACKENDS)
def engine(request: Any, db: None) -> Iterator[MastraEngine]:
    configured = {"default": {"BACKEND": BACKENDS[request.param], "EMBEDDER": BagOfWords}}
    with override_settings(MASTRA_ENGINE=configured, ROOT_URLCONF="tests.mastra_server.urls"):
        engine = engines["default"]
        if request.param == "mock":
            engine.reset()  # type: ignore[attr-defined]
        engine.memory.embeds_at_once = False
        yield engine


@pytest.fixture
def ann(engine: MastraEngine) -> Mastra:
    """User 7, who has a thread."""
    mastra = Mastra(client_of(User(pk=7, username="ann")))
    mastra.post("/memory/threads", {"resourceId": "7", "threadId": "chat", "title": "Lunch"})
    return mastra


@pytest.fixture
def bob(engine: MastraEngine) -> Mastra:
    return Mastra(client_of(User(pk=8, username="bob")))


@pytest.fixture
def staff(engine: MastraEngine) -> Mastra:
    return Mastra(client_of(User(pk=9, username="eve", is_staff=True, is_superuser=True)))


@pytest.fixture
def nobody(engine: MastraEngine) -> Mastra:
    return Mastra(client_of(None))
