"""Migrations say what the models say, and can be undone."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connection


@pytest.mark.django_db
def test_none_is_missing() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("app", ["mastra_engine", "mastra_langgraph"])
def test_down_and_up_again(app: str) -> None:
    call_command("migrate", app, "zero", verbosity=0)
    try:
        tables = connection.introspection.table_names()
        assert not [name for name in tables if name.startswith(app)]
        with connection.cursor() as cursor:  # others may use it, or own it
            cursor.execute("SELECT count(*) FROM pg_extension WHERE extname = 'vector'")
            assert cursor.fetchone() == (1,)
    finally:
        call_command("migrate", app, verbosity=0)


@pytest.mark.django_db
def test_the_database_itself_deletes_the_records_of_an_entity() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT confdeltype FROM pg_constraint WHERE conname = 'mastra_engine_record_entity'"
        )
        assert cursor.fetchone() == ("c",)
