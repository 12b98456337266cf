"""`PostgresEngine(url=…)`: an engine of a database by its URL, whether DATABASES has it or not."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
from django.db import connections, transaction
from django.utils import timezone
from psycopg.conninfo import make_conninfo

from mastra_engine import PgMemory, PgVector, PostgresEngine
from mastra_engine.exceptions import Unavailable
from mastra_engine.models import Entity
from tests.server import database_url, server_url
from tests.waiting import wait_until_gone

NAME = {"name": "Contacts", "connection_id": "crm"}


@pytest.fixture
def url(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[str]:
    """The test database, without the guard that forbids a test what DATABASES does not name."""
    # For these tests alone, which ask for no `db`, pytest-django makes no database.
    assert connections["default"].settings_dict["NAME"] not in server_url()
    with django_db_blocker.unblock():
        values = set(connections.settings)
        yield database_url()
        Entity.objects.all().delete()
        for alias in set(connections.settings) - values:
            connections[alias].close()
            del connections[alias]
            del connections.settings[alias]
        connections["default"].close()


def test_an_engine_with_a_url_needs_no_alias(url: str) -> None:
    engine = PostgresEngine(url=make_conninfo(url, application_name="its own"))
    entity = engine.sync_records(**NAME, records=[{"external_id": "1", "data": {}}]).entity
    assert engine.get_record(entity_id=entity.id, external_id="1").data == {}
    assert engine.session.alias != "default"
    assert engine.check() == []
    # It is the same database, so the default engine sees it.
    assert PostgresEngine().get_entity_by_id(id=entity.id) == entity


def test_the_time_zone_of_the_role_does_not_matter(url: str) -> None:
    engine = PostgresEngine(url=make_conninfo(url, options="-c TimeZone=Pacific/Chatham"))
    began = timezone.now()
    entity = engine.sync_records(**NAME, records=[{"external_id": "1", "data": {}}]).entity
    record = engine.get_record(entity_id=entity.id, external_id="1")
    assert began <= record.updated_at <= timezone.now()
    query = {"entity_name": NAME["name"], "connection_id": NAME["connection_id"]}
    for written in (began, began.isoformat(), began.astimezone(ZoneInfo("Asia/Kolkata"))):
        for operator, number in (("$gte", 1), ("$lt", 0)):
            options = {"filters": {"@updated_at": {operator: written}}}
            assert len(engine.get_records(**query, options=options)) == number


def test_a_connection_of_its_own_is_not_part_of_the_default_transaction(url: str) -> None:
    engine = PostgresEngine(url=make_conninfo(url, application_name="its own"))
    with transaction.atomic():
        entity = engine.create_entity(**NAME)
        transaction.set_rollback(True)
    assert engine.get_entity(**NAME) == entity


@pytest.mark.django_db
def test_the_url_of_a_database_of_the_project_means_its_connection() -> None:
    engine = PostgresEngine(url=database_url())
    entity = engine.create_entity(**NAME)  # within the test's transaction
    assert PostgresEngine().get_entity(**NAME) == entity
    memory, vectors = PgMemory(connection_string=database_url()), PgVector(database_url())
    memory.create_thread(resource_id="user_123", thread_id="chat-1")
    assert PgMemory().get_thread(thread_id="chat-1").resource_id == "user_123"
    assert vectors.list_indexes() == []
    engine.close()
    assert connections["default"].connection is not None


def test_in_tests_the_url_of_a_database_means_the_one_that_stands_for_it(
    django_db_setup: None,
) -> None:
    """Or code that is tested would reach for the database of before."""
    url = server_url()
    assert connections["default"].settings_dict["NAME"] not in url
    engine = PostgresEngine(url=url)
    assert (engine.database, engine.owns_connection) == ("default", False)


def test_closing_gives_the_connection_back_and_using_it_opens_another(url: str) -> None:
    # A name, so that this test's sessions can be told from others.
    engine = PostgresEngine(url=make_conninfo(url, application_name="closing"))
    engine.create_entity(**NAME)
    (first,) = sessions("closing")
    engine.close()
    wait_until_gone(first)
    assert engine.get_entity(**NAME) is not None
    (second,) = sessions("closing")
    assert second != first


def test_closing_an_engine_on_an_alias_leaves_the_projects_connection_open(url: str) -> None:
    engine = PostgresEngine()
    engine.list_entities()
    engine.close()
    assert connections["default"].connection is not None


def test_engines_of_one_url_share_a_connection(url: str) -> None:
    url = make_conninfo(url, application_name="sharing")
    for _ in range(3):
        PostgresEngine(url=url).list_entities()
    assert len(sessions("sharing")) == 1


def test_whoever_goes_through_the_databases_meets_no_change(url: str) -> None:
    """As Django does at each request, while another thread makes an engine."""
    going = iter(connections)
    next(going)
    engine = PostgresEngine(url=make_conninfo(url, application_name="meanwhile"))
    assert engine.database not in list(going)


def test_a_server_that_is_not_there_is_unavailable_and_its_password_stays_secret(url: str) -> None:
    away = make_conninfo(url, host="/nowhere", password="hush")
    engine = PostgresEngine(url=away)
    with pytest.raises(Unavailable) as caught:
        engine.list_entities()
    assert "hush" not in f"{caught.value}{engine.session.alias}{engine.check()}"


def sessions(name: str) -> list[int]:
    """Return the backends of clients with that name."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [name])
        return [pid for (pid,) in cursor.fetchall()]
