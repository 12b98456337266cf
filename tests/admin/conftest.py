"""Users of the admin and rows to look at."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from mastra_engine.models import Embedding, VectorIndex
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.web import APP
from tests.admin.store import fill


class Words(BagOfWords):
    """An embedder that can lose its server."""

    error: Exception | None = None

    def embed_query(self, text: str) -> list[float]:
        if self.error is not None:
            raise self.error
        return super().embed_query(text)


@pytest.fixture
def store(db: None) -> dict[str, Any]:
    """Return a row of every model, by the model's name."""
    return fill()


@pytest.fixture
def owner(db: None) -> Client:
    """Return a client of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("owner"))
    return client


@pytest.fixture
def onlooker(db: None) -> Client:
    """Return a client of a user who may view every model and may not read content."""
    return signed_in("onlooker", Permission.objects.filter(codename__startswith="view_"))


def signed_in(name: str, permissions: Any) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(permissions.filter(content_type__app_label=APP))
    client = Client()
    client.force_login(user)
    return client


def list_of(model: type[Model], **query: Any) -> str:
    if model is Embedding and not query:  # listed by index
        query = {"vector_index__id__exact": VectorIndex.objects.get(name="docs").pk}
    return with_query(reverse(f"admin:{APP}_{model._meta.model_name}_changelist"), query)


def page_of(row: Model) -> str:
    key = f"{row.vector_index_id}.{row.pk}" if isinstance(row, Embedding) else row.pk
    return reverse(f"admin:{APP}_{row._meta.model_name}_change", args=[quote(key)])


def view(name: str, *keys: Any, **query: Any) -> str:
    return with_query(reverse(f"admin:{APP}_{name}", args=[quote(key) for key in keys]), query)


def with_query(address: str, query: dict[str, Any]) -> str:
    return f"{address}?{urlencode(query)}" if query else address
