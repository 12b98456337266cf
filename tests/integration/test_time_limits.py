"""Statements of API requests are cancelled when they take too long."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from rest_framework.test import APIClient

from mastra_engine.backends.base.records.service import Records
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import Unavailable
from mastra_engine.handler import engines
from mastra_engine.postgres.cancellation import time_limit


def sleep(engine: PostgresEngine, seconds: float) -> float:
    """Run a statement on the engine's connection, and return how long it took."""
    begun = time.monotonic()
    with engine.session.translated(), engine.session.connection.cursor() as cursor:
        try:
            cursor.execute("SELECT pg_sleep(%s)", [seconds])
        finally:
            took = time.monotonic() - begun
    return took


def test_a_long_statement_is_cancelled(other: PostgresEngine) -> None:
    with (
        time_limit(str(other.database), 0.5),
        pytest.raises(Unavailable, match="cancelled the statement"),
    ):
        sleep(other, 20)
    assert sleep(other, 0.6) >= 0.6  # the connection goes on, and has no limit any more


def test_the_time_of_all_statements_counts(other: PostgresEngine) -> None:
    statements = 0
    with time_limit(str(other.database), 1.0), suppress(Unavailable):
        while statements < 20:
            sleep(other, 0.6)
            statements += 1
    assert statements < 20


def test_the_time_between_statements_does_not_count(other: PostgresEngine) -> None:
    with time_limit(str(other.database), 1.0):
        sleep(other, 0.01)
        time.sleep(1.5)  # an embedder, for example
        sleep(other, 0.01)


def test_no_limit(other: PostgresEngine) -> None:
    with time_limit(str(other.database), 0):
        assert sleep(other, 0.6) >= 0.6


def test_requests_that_read_are_limited(
    transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MASTRA_ENGINE_API = {"STATEMENT_TIMEOUT": 0.5}
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(User.objects.create_superuser("root"))
    engine: Any = engines["default"]

    def list_entities(self: Records, **_: Any) -> Any:
        sleep(engine, 20)

    monkeypatch.setattr(Records, "list_entities", list_entities)
    response = client.get("/api/v1/entities/")
    assert response.status_code == 503
    assert "Retry-After" in response.headers
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT 1")
