"""A page that takes too long becomes an error page."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.db import connection
from django.db.models import QuerySet
from django.test import Client

from mastra_engine.admin.base import EngineAdmin
from mastra_engine.models import Record, Thread
from tests.admin.conftest import list_of, page_of, view
from tests.integration.queries import statements


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, settings: Any) -> pytest.MonkeyPatch:
    """Make every statement of a page take half a minute."""

    def slowly(self: EngineAdmin, model: Any) -> QuerySet[Any]:
        return rows(self, model).extra(where=["(SELECT pg_sleep(30)) IS NOT NULL"])

    rows = EngineAdmin.rows
    monkeypatch.setattr(EngineAdmin, "rows", slowly)
    settings.MASTRA_ENGINE_ADMIN = {"STATEMENT_TIMEOUT": 0.1}
    return monkeypatch


@pytest.mark.parametrize("page", ["list", "search", "row", "view"])
def test_a_page_ends_when_a_statement_takes_too_long(
    owner: Client, store: dict[str, Any], slow: pytest.MonkeyPatch, page: str
) -> None:
    pages = {
        "list": list_of(Record),
        "search": list_of(Thread, q="chat"),
        "row": page_of(store["record"]),
        "view": view("resources", resource_id="ann"),
    }
    answer = owner.get(pages[page])
    assert answer.status_code == 503
    assert "longer than the limit of 0.1 seconds" in answer.content.decode()
    slow.undo()
    assert owner.get(pages[page]).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_bound_is_that_of_a_page_alone(settings: Any) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("owner"))
    assert client.get(list_of(Record)).status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_zero_keeps_the_servers_limit(owner: Client, store: dict[str, Any], settings: Any) -> None:
    settings.MASTRA_ENGINE_ADMIN = {"STATEMENT_TIMEOUT": 0}
    sent = statements(lambda: owner.get(list_of(Record)))
    assert not any("statement_timeout" in sql for sql in sent)


@pytest.mark.parametrize("setting", [{"TIMEOUT": 1}, {"STATEMENT_TIMEOUT": "10s"}])
def test_an_invalid_setting_is_refused(settings: Any, setting: Any) -> None:
    settings.MASTRA_ENGINE_ADMIN = setting
    output = [message.id for message in run_checks() if "ADMIN" in message.msg]
    assert output == ["mastra_engine.E010"]
