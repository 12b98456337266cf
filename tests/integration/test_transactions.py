"""What the engine does is part of the caller's transaction, and leaves nothing else in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from psycopg.errors import SerializationFailure

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import (
    EngineError,
    EntityExists,
    EntityNotFound,
    InvalidInput,
    RecordNotFound,
    SyncAborted,
    SyncConflict,
    Unavailable,
)
from mastra_engine.models import Entity, Record
from mastra_engine.validation.inputs import MAX_SECONDS
from tests.integration.conftest import NAME, Elsewhere, record

pytestmark = pytest.mark.django_db(transaction=True)

UNKNOWN = "00000000-0000-7000-8000-000000000000"

Call = Callable[[PostgresEngine, Any], object]


def contents() -> tuple[list[Any], list[Any]]:
    entities, records = Entity.objects.order_by("id"), Record.objects.order_by("id")
    return list(entities.values_list()), list(records.values_list())


WRITES: dict[str, Call] = {
    "create_entity": lambda engine, _: engine.create_entity(name="New", connection_id="crm"),
    "get_or_create_entity": lambda engine, _: engine.get_or_create_entity(
        name="New", connection_id="crm"
    ),
    "upsert_records": lambda engine, id: engine.upsert_records(
        entity_id=id, records=[record("1", made="now"), record("new")]
    ),
    "delete_records": lambda engine, id: engine.delete_records(entity_id=id, external_ids=["1"]),
    "purge_deleted_records": lambda engine, id: engine.purge_deleted_records(
        entity_id=id, up_to_rev=100
    ),
    "delete_entity_by_id": lambda engine, id: engine.delete_entity_by_id(id=id),
    "sync_records": lambda engine, _: engine.sync_records(
        **NAME, records=[record("1", made="now")], last_sync_id="now", mode="full"
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_write_rolls_back_with_the_callers_transaction(
    engine: PostgresEngine, entity_id: Any, write: Call
) -> None:
    before = contents()
    with transaction.atomic():
        write(engine, entity_id)
        assert contents() != before
        transaction.set_rollback(True)
    assert contents() == before


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_write_takes_effect_for_others_with_the_callers_commit(
    engine: PostgresEngine, other: PostgresEngine, entity_id: Any, write: Call
) -> None:
    before = contents()
    others = connections[other.session.alias]

    def seen_by_others() -> tuple[list[Any], list[Any]]:
        entities = Entity.objects.using(others.alias).order_by("id")
        records = Record.objects.using(others.alias).order_by("id")
        return list(entities.values_list()), list(records.values_list())

    with transaction.atomic():
        write(engine, entity_id)
        assert seen_by_others() == before
    assert seen_by_others() == contents() != before


def test_the_entity_stays_locked_until_the_callers_commit(
    engine: PostgresEngine, elsewhere: Elsewhere, entity_id: Any
) -> None:
    hasty = elsewhere(lock_timeout=0.1)
    with transaction.atomic():
        engine.upsert_records(entity_id=entity_id, records=[record("1", made="now")])
        with pytest.raises(Unavailable):
            hasty.delete_records(entity_id=entity_id, external_ids=["2"])
    assert hasty.delete_records(entity_id=entity_id, external_ids=["2"]) == 1


# Errors


class SourceFailed(Exception):
    pass


def failing_source() -> Iterator[dict[str, Any]]:
    for i in range(5_500):  # more than the first chunk
        yield record(f"new {i}")
    raise SourceFailed


REFUSALS: dict[str, tuple[type[Exception], Call]] = {
    "EntityExists": (EntityExists, lambda engine, _: engine.create_entity(**NAME)),
    "EntityNotFound reading": (
        EntityNotFound,
        lambda engine, _: engine.get_records_by_entity_id(entity_id=UNKNOWN),
    ),
    "EntityNotFound writing": (
        EntityNotFound,
        lambda engine, _: engine.delete_records(entity_id=UNKNOWN, external_ids=["1"]),
    ),
    "RecordNotFound": (
        RecordNotFound,
        lambda engine, id: engine.get_record(entity_id=id, external_id="none"),
    ),
    "InvalidInput": (
        InvalidInput,
        lambda engine, id: engine.upsert_records(
            entity_id=id, records=[record("1", made="now"), record("", made="now")]
        ),
    ),
    "InvalidInput late": (
        InvalidInput,
        lambda engine, id: engine.upsert_records(
            entity_id=id, records=[record(f"new {i}" if i < 5_500 else "") for i in range(5_501)]
        ),
    ),
    "SyncConflict": (
        SyncConflict,
        lambda engine, _: engine.sync_records(
            **NAME, records=[record("1", made="now")], if_last_sync_id="another"
        ),
    ),
    "SyncConflict of an unknown entity": (
        SyncConflict,
        lambda engine, _: engine.sync_records(
            name="New", connection_id="crm", records=[], if_last_sync_id="another"
        ),
    ),
    "SyncAborted": (
        SyncAborted,
        lambda engine, _: engine.sync_records(
            **NAME, records=[record("1", made="now")], mode="full", max_delete_ratio=0.1
        ),
    ),
    "source failed": (
        SourceFailed,
        lambda engine, _: engine.sync_records(**NAME, records=failing_source(), last_sync_id="x"),
    ),
}


@pytest.mark.parametrize(("error", "call"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_changes_nothing_and_leaves_the_callers_transaction_usable(
    engine: PostgresEngine, entity_id: Any, error: type[Exception], call: Call
) -> None:
    with transaction.atomic():
        engine.upsert_records(entity_id=entity_id, records=[record("mine")])
        before = contents()
        with pytest.raises(error):
            call(engine, entity_id)
        assert contents() == before
        engine.upsert_records(entity_id=entity_id, records=[record("mine too")])
    engine.get_record(entity_id=entity_id, external_id="mine")
    engine.get_record(entity_id=entity_id, external_id="mine too")


@pytest.mark.parametrize(("error", "call"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_outside_a_transaction_changes_nothing(
    engine: PostgresEngine, entity_id: Any, error: type[Exception], call: Call
) -> None:
    before = contents()
    with pytest.raises(error):
        call(engine, entity_id)
    assert contents() == before
    assert connection.get_autocommit()


# Lock timeouts


def lock_timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        (value,) = cursor.fetchone()
    return str(value)


def record_that_looks(seen: list[str]) -> Iterator[dict[str, Any]]:
    """Look at the lock timeout once the transaction is on, which it is after the first chunk."""
    for i in range(5_001):
        yield record(f"new {i}")
    seen.append(lock_timeout())


@pytest.mark.parametrize(
    ("seconds", "expected"), [(1.5, "1500ms"), (1e-9, "1ms"), (MAX_SECONDS, f"{2**31 - 1}ms")]
)
def test_an_engines_own_transaction_has_its_lock_timeout_and_the_session_keeps_its_own(
    entity_id: Any, seconds: float, expected: str
) -> None:
    seen: list[str] = []
    engine = PostgresEngine(lock_timeout=seconds)
    engine.upsert_records(entity_id=entity_id, records=record_that_looks(seen))
    assert seen == [expected]
    assert lock_timeout() == "0"


def test_a_lock_timeout_of_zero_leaves_the_servers(entity_id: Any) -> None:
    seen: list[str] = []
    engine = PostgresEngine(lock_timeout=0)
    engine.upsert_records(entity_id=entity_id, records=record_that_looks(seen))
    assert seen == ["0"]


def test_a_failed_call_leaves_no_lock_timeout_in_the_session(engine: PostgresEngine) -> None:
    with pytest.raises(SyncConflict):
        engine.sync_records(**NAME, records=[], if_last_sync_id="another")
    assert lock_timeout() == "0"


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_a_callers_transaction_keeps_its_own_lock_timeout(
    engine: PostgresEngine, entity_id: Any, write: Call
) -> None:
    with transaction.atomic():
        write(engine, entity_id)
        assert lock_timeout() == "0"


def test_a_transaction_begun_without_atomic_keeps_its_own_lock_timeout(
    engine: PostgresEngine, entity_id: Any
) -> None:
    transaction.set_autocommit(False)
    try:
        engine.upsert_records(entity_id=entity_id, records=[record("1", made="now")])
        assert lock_timeout() == "0"
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def test_a_transaction_begun_without_atomic_survives_a_wait_that_is_given_up(
    engine: PostgresEngine, other: PostgresEngine, entity_id: Any
) -> None:
    transaction.set_autocommit(False)
    try:
        engine.create_entity(name="Mine", connection_id="crm")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '100ms'")
        with transaction.atomic(using=other.session.alias):
            other.upsert_records(entity_id=entity_id, records=[record("1", made="now")])
            with pytest.raises(Unavailable):
                engine.delete_records(entity_id=entity_id, external_ids=["1"])
        transaction.commit()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert engine.get_entity(name="Mine", connection_id="crm") is not None


# Beginning anew


class Clashes:
    """Makes the first so many times that an entity is locked fail as PostgreSQL would."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.tries = 0

    def __call__(self, execute: Any, sql: str, *rest: Any) -> Any:
        if "pg_advisory_xact_lock" in sql:
            self.tries += 1
            if self.left:
                self.left -= 1
                raise OperationalError from SerializationFailure()
        return execute(sql, *rest)


def test_a_write_that_lost_to_another_is_tried_three_times(
    engine: PostgresEngine, entity_id: Any
) -> None:
    clashes = Clashes(2)
    with connection.execute_wrapper(clashes):
        engine.upsert_records(entity_id=entity_id, records=[record("1", made="now")])
    assert engine.get_record(entity_id=entity_id, external_id="1").data == {"made": "now"}
    assert clashes.tries == 3


def write_list(engine: PostgresEngine, entity_id: Any) -> None:
    engine.upsert_records(entity_id=entity_id, records=[record("1", made="now")])


def write_iterator(engine: PostgresEngine, entity_id: Any) -> None:
    engine.upsert_records(entity_id=entity_id, records=iter([record("1", made="now")]))


def write_in_a_transaction(engine: PostgresEngine, entity_id: Any) -> None:
    with transaction.atomic():
        write_list(engine, entity_id)


def write_without_autocommit(engine: PostgresEngine, entity_id: Any) -> None:
    transaction.set_autocommit(False)
    try:
        write_list(engine, entity_id)
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


@pytest.mark.parametrize(
    ("write", "tries"),
    [
        (write_list, 3),
        (write_iterator, 1),
        (write_in_a_transaction, 1),
        (write_without_autocommit, 1),
    ],
    ids=[
        "a list: three times",
        "an iterator: once",
        "in the caller's transaction: once",
        "without autocommit: once",
    ],
)
def test_a_write_that_keeps_losing_is_given_up(
    engine: PostgresEngine, entity_id: Any, write: Call, tries: int
) -> None:
    before = contents()
    clashes = Clashes(100)
    with connection.execute_wrapper(clashes), pytest.raises(Unavailable) as caught:
        write(engine, entity_id)
    assert isinstance(caught.value, EngineError)
    assert clashes.tries == tries
    assert contents() == before
