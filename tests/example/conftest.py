"""The example project's settings on the tests' database, and the data of the desk."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from importlib import import_module, reload
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from example_project import settings as example
from example_project.sources import CONNECTION, reference
from mastra_engine import engine
from mastra_engine.types import Message

SHARED = (
    "DESK_FRAMEWORK",
    "INSTALLED_APPS",
    "LOGIN_REDIRECT_URL",
    "LOGIN_URL",
    "MASTRA_ENGINE",
    "MIDDLEWARE",
    "ROOT_URLCONF",
    "STATIC_URL",
    "TEMPLATES",
)
#: The modules that declare syncs and indexes.
DECLARING = ("example_project.syncs", "example_project.desk.syncs")
#: The topics that the desk knows in tests; all of them would take seconds to embed.
TOPICS = {"lambda", "try", "nonlocal"}


@dataclass
class Browser:
    """A user at the desk."""

    client: Client
    user: User

    def ask(self, question: str, thread_id: str = "", **more: Any) -> str:
        """Ask in a conversation or a new one, and return the thread's id."""
        thread_id = thread_id or str(uuid.uuid4())
        response = self.post(question, thread_id, **more)
        assert response.status_code == 302, response.content
        return thread_id

    def post(self, question: str, thread_id: str, *, turn: str = "", **more: Any) -> Any:
        data = {"question": question, "turn": turn or str(uuid.uuid4())}
        return self.client.post(f"/conversations/{thread_id}/", data, **more)

    def read(self, thread_id: str) -> str:
        """Return the page of a conversation."""
        response = self.client.get(f"/conversations/{thread_id}/")
        assert response.status_code == 200
        return response.content.decode()


def remembered(thread_id: str) -> list[Message]:
    return engine.memory.list_messages(thread_id=thread_id).items


def text_of(message: Message) -> str:
    return str(message.content[0]["text"])


def links_in(page: str) -> list[str]:
    return re.findall(r'href="([^"]+)"', page)


@pytest.fixture(autouse=True)
def example_settings(settings: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SHARED:
        setattr(settings, name, getattr(example, name))
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"  # needs no table
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for module in DECLARING:  # Django has imported it, but perhaps for another test
        reload(import_module(module))


@pytest.fixture
def knowledge() -> None:
    learn()


def learn() -> None:
    """Sync and index the desk's tickets and some topics."""
    engine.run_sync("tickets", connection_id=CONNECTION)
    topics = [topic for topic in reference() if topic.external_id in TOPICS]
    engine.sync_records(name="Topics", connection_id=CONNECTION, records=topics)
    engine.index_pending()


def browser(name: str, **more: Any) -> Browser:
    user = User.objects.create_user(name, **more)
    client = Client()
    client.force_login(user)
    return Browser(client, user)


@pytest.fixture
def ann(knowledge: None) -> Browser:
    return browser("ann")


@pytest.fixture
def bob(knowledge: None) -> Browser:
    return browser("bob")


@pytest.fixture
def staff(knowledge: None) -> Browser:
    return browser("staff", is_staff=True, is_superuser=True)
