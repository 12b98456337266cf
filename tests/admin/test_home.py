"""The home page of the section."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from mastra_engine import engine, index_records
from mastra_engine.admin.questions import QUESTIONS
from mastra_engine.models import Record, SyncRun, VectorIndex
from mastra_engine.registry import registry
from tests.admin.conftest import page_of, signed_in, view
from tests.admin.store import SECRET
from tests.admin.test_bounded import grow
from tests.integration.queries import statements

pytestmark = pytest.mark.django_db

HOME = "/admin/mastra_engine/"


@pytest.fixture(autouse=True)
def _no_growth_is_kept() -> None:
    cache.clear()


def home(client: Client) -> str:
    response = client.get(HOME)
    assert response.status_code == 200
    return response.content.decode()


def test_an_empty_database_has_no_problems(owner: Client) -> None:
    page = home(owner)
    assert "No problems found." in page
    assert page.count("<strong>0</strong>") == 8


def test_the_index_and_the_sidebar_lead_to_it(owner: Client) -> None:
    index = owner.get(reverse("admin:index")).content.decode()
    assert f'href="{HOME}"' in index
    inside = owner.get(reverse("admin:mastra_engine_thread_changelist")).content.decode()
    sidebar = inside[inside.index('id="nav-sidebar"') :]
    assert f'href="{HOME}"' in sidebar


def test_a_failed_run_is_a_problem_with_a_next_step(owner: Client, store: dict[str, Any]) -> None:
    page = home(owner)
    assert "A sync run failed in the last 24 hours." in page
    assert f'href="{page_of(store["syncrun"])}"' in page
    assert f"ValueError: {SECRET} was in the way" in page
    SyncRun.objects.update(finished_at=datetime.now(UTC) - timedelta(days=2))
    later = home(owner)
    assert "A sync run failed" not in later
    assert SECRET in later  # it is still listed


def test_the_run_of_a_silent_worker_is_a_problem(owner: Client, store: dict[str, Any]) -> None:
    SyncRun.objects.update(status="running", lease_expires_at=datetime.now(UTC) - timedelta(1))
    page = home(owner)
    assert "Its worker is silent." in page
    assert f'href="{page_of(store["syncrun"])}"' in page


def test_an_index_that_lags_is_named(owner: Client) -> None:
    engine.vectors.create_index(index_name="people", dimension=3)
    with registry.empty():
        index_records(entity="People", index="people", text=lambda data: data["name"])
        records = [{"external_id": "1", "data": {"name": "Ann"}}]
        engine.sync_records(name="People", connection_id="crm", records=records)
        assert "1 change behind since" in home(owner)
        assert "The index people has not read" not in home(owner)
        Record.objects.update(updated_at=datetime.now(UTC) - timedelta(hours=1))
        page = home(owner)
    assert "The index people has not read all changes" in page
    assert f'href="{page_of(VectorIndex.objects.get())}"' in page


def test_counts_are_bounded(owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mastra_engine.admin.paging.COUNTED", 2)
    records = [{"external_id": str(i), "data": {}} for i in range(9)]
    engine.sync_records(name="Many", connection_id="crm", records=records)
    assert re.search(r"<strong>about [\d,]+</strong>\s*<a[^>]*>Records", home(owner))
    counts = [sql for sql in statements(lambda: owner.get(HOME)) if "COUNT(*) FROM" in sql]
    assert len(counts) >= 8
    assert all("LIMIT" in sql for sql in counts)


def test_growth_is_cached(owner: Client) -> None:
    sampled = [
        sum("TABLESAMPLE" in sql for sql in statements(lambda: owner.get(HOME))) for _ in "12"
    ]
    assert sampled == [4, 0]


def test_each_question_leads_to_a_page(owner: Client, store: dict[str, Any]) -> None:
    links = re.findall(r"<ul class=\"me-questions\">.*?</ul>", home(owner), re.DOTALL)[0]
    urls = [html.unescape(url) for url in re.findall(r'(?:href|action)="([^"]*)"', links)]
    assert len(urls) == len(QUESTIONS) == 8
    for url in urls:
        assert owner.get(url).status_code == 200, url
        assert owner.get(url, {"q": "a"}, follow=True).status_code == 200, url


def test_it_names_no_table_and_no_setting(owner: Client, store: dict[str, Any]) -> None:
    SyncRun.objects.update(status="running", lease_expires_at=datetime.now(UTC) - timedelta(1))
    text = re.sub(r"<[^>]*>", " ", home(owner))
    assert "mastra_engine_" not in text
    assert not re.search(r"\b[A-Z]{2,}_[A-Z_]+\b", text)


def test_it_shows_what_the_user_may_view(store: dict[str, Any]) -> None:
    only_threads = signed_in("clerk", Permission.objects.filter(codename="view_thread"))
    page = home(only_threads)
    assert re.findall(r"<p>([^<>]+\?)</p>", page) == [
        "What does the agent know about a user?",
        "What would be deleted if a user were erased?",
    ]
    assert re.findall(r'<a href="[^"]*">([^<>]+)</a></p>', page) == ["Threads"]
    assert view("playground") not in page
    assert "me-indexes" not in page
    assert "failed" not in page


def test_it_asks_for_words_only_users_who_may_search_them(
    onlooker: Client, store: dict[str, Any]
) -> None:
    page = home(onlooker)
    assert "What does the agent know about a user?" in page
    assert "In which conversation was it said?" not in page
    assert "What did the model see before an answer?" not in page


def test_it_shows_no_content_to_onlookers(onlooker: Client, store: dict[str, Any]) -> None:
    page = home(onlooker)
    assert "contacts" in page
    assert SECRET not in page


def test_the_number_of_statements_is_fixed(owner: Client, store: dict[str, Any]) -> None:
    home(owner)  # caches the growth
    few = statements(lambda: owner.get(HOME))
    grow()
    assert len(statements(lambda: owner.get(HOME))) == len(few) <= 32, few


def test_a_slow_database_is_reported(
    owner: Client, store: dict[str, Any], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection

    def slow(*args: Any, **options: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr("mastra_engine.admin.home.read_health", slow)
    settings.MASTRA_ENGINE_ADMIN = {"STATEMENT_TIMEOUT": 0.05}
    page = home(owner)
    assert "The database needed longer than the limit of 0.05 seconds." in page
    assert "Threads" in page  # the list of models is still there
