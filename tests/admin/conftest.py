"""Somebody who looks, and something to look at."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from mastra_engine.admin.base import APP
from tests.admin.store import fill


@pytest.fixture
def store(db: None) -> dict[str, Any]:
    """Rows of every model, by its name."""
    return fill()


@pytest.fixture
def owner(db: None) -> Client:
    """A browser of somebody who may do everything."""
    client = Client()
    client.force_login(User.objects.create_superuser("owner"))
    return client


@pytest.fixture
def onlooker(db: None) -> Client:
    """A browser of somebody who may view everything, but not what it holds."""
    return signed_in("onlooker", Permission.objects.filter(codename__startswith="view_"))


def signed_in(name: str, permissions: Any) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(permissions.filter(content_type__app_label=APP))
    client = Client()
    client.force_login(user)
    return client


def list_of(model: type[Model] | str, **query: Any) -> str:
    name = model if isinstance(model, str) else model._meta.model_name
    address = reverse(f"admin:{APP}_{name}_changelist")
    return address + "".join(
        f"{'&' if i else '?'}{key}={quote(str(value))}"
        for i, (key, value) in enumerate(query.items())
    )
