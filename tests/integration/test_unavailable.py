"""The database is locked, away, read-only, slow or not set up: typed errors, and then it works."""

from __future__ import annotations

import socket
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, transaction
from rest_framework.test import APIClient

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import EngineConfigError, Unavailable
from mastra_engine.models import Record
from tests.api.conftest import client_of
from tests.integration.conftest import NAME, Elsewhere, record
from tests.integration.test_transactions import WRITES, Call, contents

pytestmark = pytest.mark.django_db(transaction=True)

READS: dict[str, Call] = {
    "get_entity_by_id": lambda engine, id: engine.get_entity_by_id(id=id),
    "get_entity": lambda engine, _: engine.get_entity(**NAME),
    "list_entities": lambda engine, _: engine.list_entities(),
    "get_record": lambda engine, id: engine.get_record(entity_id=id, external_id="1"),
    "get_records": lambda engine, _: engine.get_records(
        entity_name=NAME["name"], connection_id=NAME["connection_id"]
    ),
    "count_records": lambda engine, _: engine.count_records(
        entity_name=NAME["name"], connection_id=NAME["connection_id"]
    ),
    "iter_records": lambda engine, _: list(
        engine.iter_records(entity_name=NAME["name"], connection_id=NAME["connection_id"])
    ),
    "get_records_by_entity_id": lambda engine, id: engine.get_records_by_entity_id(entity_id=id),
    "get_records_by_entity_name": lambda engine, _: engine.get_records_by_entity_name(**NAME),
    "get_changes": lambda engine, id: engine.get_changes(entity_id=id),
}
LOCK_TIMEOUT, STATEMENT_TIMEOUT = "55P03", "longer than a timeout allows"
CALLS = {**READS, **WRITES}
#: Those that have to wait for whoever writes to the entity.
WAITING = {
    name: write
    for name, write in WRITES.items()
    if name not in ("create_entity", "get_or_create_entity")
}


def cases(calls: dict[str, Call]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", calls.values(), ids=calls.keys())


def fails_by(timeout: str) -> Any:
    return pytest.raises(Unavailable, match=timeout)


def execute(sql: str, *, on: PostgresEngine | None = None) -> None:
    with connections[on.session.alias if on else "default"].cursor() as cursor:
        cursor.execute(sql)


@contextmanager
def held_by(other: PostgresEngine, sql: str) -> Iterator[None]:
    """Somebody else executes `sql` and does not commit."""
    with transaction.atomic(using=other.session.alias):
        execute(sql, on=other)
        yield
        transaction.set_rollback(True, using=other.session.alias)


# Locked


def make_hasty(elsewhere: Elsewhere) -> PostgresEngine:
    """Return an engine that does not wait long; the server ends what would wait for ever."""
    return elsewhere(lock_timeout=0.1, statement_timeout="3s")


@cases(WAITING)
def test_a_locked_entity_is_unavailable_after_the_lock_timeout(
    elsewhere: Elsewhere, other: PostgresEngine, entity_id: Any, call: Call
) -> None:
    hasty = make_hasty(elsewhere)
    before = contents()
    with transaction.atomic(using=other.session.alias):
        other.upsert_records(entity_id=entity_id, records=[record("2", by="other")])
        with fails_by(LOCK_TIMEOUT):
            call(hasty, entity_id)
    assert [row for row in contents()[1] if row not in before[1]] == list(
        Record.objects.filter(external_id="2").values_list()
    )
    call(hasty, entity_id)


@cases(READS)
def test_readers_do_not_wait_for_a_locked_entity(
    elsewhere: Elsewhere, other: PostgresEngine, entity_id: Any, call: Call
) -> None:
    reader = elsewhere(statement_timeout="2s")
    with transaction.atomic(using=other.session.alias):
        other.upsert_records(entity_id=entity_id, records=[record("1", by="other")])
        call(reader, entity_id)


@cases({name: WRITES[name] for name in ("create_entity", "get_or_create_entity")})
def test_an_entity_being_made_elsewhere_is_unavailable_after_the_lock_timeout(
    elsewhere: Elsewhere, other: PostgresEngine, call: Call
) -> None:
    hasty = make_hasty(elsewhere)
    with transaction.atomic(using=other.session.alias):
        WRITES["create_entity"](other, None)
        with fails_by(LOCK_TIMEOUT):
            call(hasty, None)
        transaction.set_rollback(True, using=other.session.alias)
    call(hasty, None)


@pytest.mark.parametrize("id", ["1", "new"], ids=["to update", "to insert"])
def test_a_locked_table_is_unavailable_after_the_lock_timeout(
    elsewhere: Elsewhere, other: PostgresEngine, entity_id: Any, id: str
) -> None:
    """CREATE INDEX, for one, takes such a lock."""
    hasty = make_hasty(elsewhere)
    before = contents()
    with (
        held_by(other, "LOCK TABLE mastra_engine_record IN SHARE MODE"),
        fails_by(LOCK_TIMEOUT),
    ):
        hasty.upsert_records(entity_id=entity_id, records=[record(id, made="now")])
    assert contents() == before
    hasty.upsert_records(entity_id=entity_id, records=[record(id, made="now")])


# Slow


def test_a_write_longer_than_the_statement_timeout_is_unavailable(
    elsewhere: Elsewhere, other: PostgresEngine, entity_id: Any
) -> None:
    bounded = elsewhere(statement_timeout="500ms", lock_timeout=30)
    before = contents()
    with (
        held_by(other, "LOCK TABLE mastra_engine_record IN EXCLUSIVE MODE"),
        fails_by(STATEMENT_TIMEOUT),
    ):
        WRITES["sync_records"](bounded, entity_id)
    assert contents() == before
    WRITES["sync_records"](bounded, entity_id)


@cases({name: READS[name] for name in ("get_record", "get_records", "iter_records", "get_changes")})
def test_a_read_longer_than_the_statement_timeout_is_unavailable(
    elsewhere: Elsewhere, other: PostgresEngine, entity_id: Any, call: Call
) -> None:
    bounded = elsewhere(statement_timeout="500ms")
    with (
        held_by(other, "LOCK TABLE mastra_engine_record IN ACCESS EXCLUSIVE MODE"),
        fails_by(STATEMENT_TIMEOUT),
    ):
        call(bounded, entity_id)
    call(bounded, entity_id)


# Away


def backend_pid(engine: PostgresEngine) -> int:
    with connections[engine.session.alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    return int(pid)


def terminate(pid: int) -> None:
    """End a backend as an administrator or a shutdown does; return when it is gone."""
    execute(f"SELECT pg_terminate_backend({pid}, 10000)")


@cases(CALLS)
def test_a_terminated_connection_is_unavailable_and_then_made_anew(
    other: PostgresEngine, entity_id: Any, call: Call
) -> None:
    terminate(backend_pid(other))
    with pytest.raises(Unavailable):
        call(other, entity_id)
    call(other, entity_id)


def test_a_lost_connection_is_noticed_where_the_project_has_it_checked(
    elsewhere: Elsewhere, entity_id: Any
) -> None:
    """`CONN_HEALTH_CHECKS`, in a request that asks nothing else before."""
    checked = elsewhere()
    connection = connections[checked.session.alias]
    connection.settings_dict |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
    assert checked.memory.list_threads(resource_id="r").items == []
    terminate(backend_pid(checked))
    connection.close_if_unusable_or_obsolete()  # as a request begins
    assert checked.memory.list_threads(resource_id="r").items == []


@cases(WRITES)
def test_a_connection_terminated_in_the_callers_transaction_is_made_anew_after_it(
    other: PostgresEngine, entity_id: Any, call: Call
) -> None:
    @transaction.atomic(using=other.session.alias)
    def interrupted() -> None:
        call(other, entity_id)
        terminate(backend_pid(other))
        other.get_entity_by_id(id=entity_id)

    before = contents()
    with pytest.raises(Unavailable):
        interrupted()
    assert contents() == before
    call(other, entity_id)


def test_a_sync_whose_connection_is_terminated_on_the_way_has_changed_nothing(
    other: PostgresEngine, entity_id: Any
) -> None:
    def records() -> Iterator[dict[str, Any]]:
        for i in range(5_500):
            yield record(f"new {i}")
        terminate(pid)

    pid = backend_pid(other)
    before = contents()
    with pytest.raises(Unavailable):
        other.sync_records(**NAME, records=records(), last_sync_id="now", mode="full")
    assert contents() == before
    assert other.sync_records(**NAME, records=[record("1")], mode="full").deleted == 1


def test_a_connection_lost_when_records_are_copied_is_unavailable(
    other: PostgresEngine, entity_id: Any
) -> None:
    def step_in(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        answer = execute(sql, *rest)
        if "SET rev = rev +" in sql:  # the statement before the COPY
            terminate(pid)
        return answer

    pid = backend_pid(other)
    before = contents()
    with (
        connections[other.session.alias].execute_wrapper(step_in),
        pytest.raises(Unavailable),
    ):
        other.upsert_records(entity_id=entity_id, records=[record("new")])
    assert contents() == before


def test_a_transaction_that_was_idle_too_long_is_unavailable(
    elsewhere: Elsewhere, entity_id: Any
) -> None:
    idle = elsewhere(idle_in_transaction_session_timeout="50ms")

    @transaction.atomic(using=idle.session.alias)
    def dawdle() -> None:
        pid = backend_pid(idle)
        while is_there(pid):
            time.sleep(0.05)
        idle.get_entity_by_id(id=entity_id)

    with pytest.raises(Unavailable):
        dawdle()
    idle.get_entity_by_id(id=entity_id)


def is_there(pid: int) -> bool:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid])
        return bool(cursor.rowcount)


# Over HTTP


@pytest.fixture
def served(settings: Any) -> Callable[[PostgresEngine], APIClient]:
    """Have the API serve an engine's database, and return the client of who has a thread there."""

    def serve(engine: PostgresEngine) -> APIClient:
        settings.MASTRA_ENGINE_API = {"RETRY_AFTER": 7}
        settings.MASTRA_ENGINE = {
            "default": {
                "BACKEND": "mastra_engine.PostgresEngine",
                "DATABASE": engine.session.alias,
                "LOCK_TIMEOUT": engine.session.lock_timeout,
            }
        }
        message = {"role": "user", "content": "Hello"}
        PostgresEngine().memory.save_memory(thread_id="t", resource_id="7", messages=[message])
        return client_of(User(pk=7))

    return serve


def refused_for_now(answer: Any) -> bool:
    return answer.status_code == 503 and answer["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("table", "path"),
    [("thread", "threads/"), ("message", "threads/t/messages/"), ("message", "threads/t/export/")],
)
def test_a_statement_timeout_is_503(
    elsewhere: Elsewhere, other: PostgresEngine, served: Any, table: str, path: str
) -> None:
    client = served(elsewhere(statement_timeout="500ms"))
    with held_by(other, f"LOCK TABLE mastra_engine_{table} IN ACCESS EXCLUSIVE MODE"):
        assert refused_for_now(client.get(f"/api/v1/{path}"))
    assert client.get(f"/api/v1/{path}").status_code == 200


def test_a_lock_timeout_is_503(elsewhere: Elsewhere, other: PostgresEngine, served: Any) -> None:
    client = served(elsewhere(lock_timeout=0.1))
    with held_by(other, "SELECT FROM mastra_engine_thread FOR UPDATE"):
        assert refused_for_now(client.patch("/api/v1/threads/t/", {"title": "A"}, format="json"))
    assert client.patch("/api/v1/threads/t/", {"title": "A"}, format="json").status_code == 200


def test_too_many_connections_are_503(elsewhere: Elsewhere, served: Any) -> None:
    execute("CREATE ROLE mastra_engine_crowd LOGIN CONNECTION LIMIT 0")
    try:
        crowded = elsewhere()
        connections[crowded.session.alias].settings_dict["USER"] = "mastra_engine_crowd"
        assert refused_for_now(served(crowded).get("/api/v1/threads/"))
    finally:
        execute("DROP ROLE mastra_engine_crowd")


def test_a_server_that_is_down_is_503(elsewhere: Elsewhere, served: Any) -> None:
    away = elsewhere()
    connections[away.session.alias].settings_dict["HOST"] = "/nowhere"
    assert refused_for_now(served(away).get("/api/v1/threads/"))


def test_a_server_that_never_answers_is_503(elsewhere: Elsewhere, served: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        away = elsewhere()
        _, port = silent.getsockname()
        connections[away.session.alias].settings_dict |= {"HOST": "127.0.0.1", "PORT": port}
        connections[away.session.alias].settings_dict["OPTIONS"]["connect_timeout"] = 2
        client = served(away)
        assert refused_for_now(client.get("/api/v1/threads/"))


def test_a_full_disk_is_503_and_what_is_there_can_be_read(
    engine: PostgresEngine, entity_id: Any, served: Any
) -> None:
    """What PostgreSQL says of one, said by a trigger."""
    client = served(engine)
    before, messages = contents(), "/api/v1/threads/t/messages/"
    body = {"messages": [{"role": "user", "content": "Hello?"}]}
    execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
    )
    tables = ("mastra_engine_record", "mastra_engine_message")
    for table in tables:
        execute(
            f"CREATE TRIGGER full_disk AFTER INSERT OR UPDATE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
    try:
        for write in ("sync_records", "upsert_records"):
            with pytest.raises(Unavailable):
                WRITES[write](engine, entity_id)
        assert refused_for_now(client.post(messages, body, format="json"))
        assert len(client.get(messages).json()["items"]) == 1
        assert contents() == before
    finally:
        for table in tables:
            execute(f"DROP TRIGGER full_disk ON {table}")
        execute("DROP FUNCTION full_disk")
    WRITES["sync_records"](engine, entity_id)
    assert client.post(messages, body, format="json").status_code == 201


def test_it_is_503_as_well_where_the_projects_requests_are_atomic(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served(PostgresEngine())
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    connection.close()
    with monkeypatch.context() as moved:
        moved.setitem(connection.settings_dict, "HOST", "/nowhere")
        assert refused_for_now(client.get("/api/v1/threads/"))
    assert client.get("/api/v1/threads/").status_code == 200


def test_users_who_cannot_be_looked_up_are_503(
    engine: PostgresEngine, other: PostgresEngine, served: Any
) -> None:
    """Their table is the project's own."""
    served(engine)
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Basic {b64encode(b'ann:secret').decode()}")
    execute("SET statement_timeout = '100ms'")
    with held_by(other, "LOCK TABLE auth_user IN ACCESS EXCLUSIVE MODE"):
        assert refused_for_now(client.get("/api/v1/threads/"))
    execute("RESET statement_timeout")
    assert client.get("/api/v1/threads/").status_code == 403


def test_the_cause_tells_why_there_is_no_connection(elsewhere: Elsewhere) -> None:
    away = elsewhere()
    connections[away.session.alias].settings_dict["HOST"] = "/nowhere"
    with pytest.raises(Unavailable, match="no connection to the database") as caught:
        away.list_entities()
    assert "/nowhere" in str(caught.value.__cause__)


def test_the_cause_of_a_refused_statement_quotes_nothing(
    elsewhere: Elsewhere, other: PostgresEngine, entity_id: Any
) -> None:
    hasty = elsewhere(lock_timeout=0.1)
    with transaction.atomic(using=other.session.alias):
        other.upsert_records(entity_id=entity_id, records=[record("1", by="other")])
        with fails_by(LOCK_TIMEOUT) as caught:
            hasty.upsert_records(entity_id=entity_id, records=[record("1", by="secret")])
    assert str(caught.value.__cause__) == f"OperationalError (SQLSTATE {LOCK_TIMEOUT})"


# Not for writing, not set up


@cases(WRITES)
def test_a_read_only_database_is_unavailable_for_writes(
    elsewhere: Elsewhere, entity_id: Any, call: Call
) -> None:
    before = contents()
    with pytest.raises(Unavailable, match="read-only"):
        call(elsewhere(default_transaction_read_only="on"), entity_id)
    assert contents() == before


@cases(READS)
def test_a_read_only_database_can_be_read(elsewhere: Elsewhere, entity_id: Any, call: Call) -> None:
    call(elsewhere(default_transaction_read_only="on"), entity_id)


@cases(CALLS)
def test_missing_tables_are_a_mistake_in_the_configuration(
    elsewhere: Elsewhere, entity_id: Any, call: Call
) -> None:
    with pytest.raises(EngineConfigError, match="engine_migrate") as caught:
        call(elsewhere(search_path="nowhere"), entity_id)
    assert isinstance(caught.value, ImproperlyConfigured)
