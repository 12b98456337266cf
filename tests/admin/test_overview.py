"""The overview page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from mastra_engine.models import SyncRun
from tests.admin.store import SECRET
from tests.integration.queries import statements

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_growth_is_kept() -> None:
    cache.clear()


@pytest.fixture
def address() -> str:
    return reverse("admin:mastra_engine_overview")


def test_a_healthy_database_has_no_problems(owner: Client, address: str) -> None:
    page = owner.get(address).content.decode()
    assert "No problems found." in page
    assert "mastra_engine_record" in page


def test_problems_are_listed(owner: Client, address: str, store: dict[str, Any]) -> None:
    SyncRun.objects.update(status="running", lease_expires_at=datetime.now(UTC) - timedelta(1))
    page = owner.get(address).content.decode()
    assert "Sync runs whose worker is silent: 1." in page
    assert "No problems found." not in page


def test_shows_no_content_to_onlookers(
    onlooker: Client, address: str, store: dict[str, Any]
) -> None:
    answer = onlooker.get(address)
    assert answer.status_code == 200
    assert SECRET not in answer.content.decode()


def test_the_number_of_statements_is_fixed(
    owner: Client, address: str, store: dict[str, Any]
) -> None:
    assert len(statements(lambda: owner.get(address))) <= 24


def test_the_apps_index_leads_to_it(owner: Client, address: str) -> None:
    index = owner.get(reverse("admin:app_list", args=["mastra_engine"])).content.decode()
    assert address in index
    assert reverse("admin:mastra_engine_playground") in index
