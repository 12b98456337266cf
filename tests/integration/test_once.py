"""Answers under a key in their table: who is a moment too late, and what goes by itself."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.backends.postgres.idempotency import DELETED_PER_CALL
from mastra_engine.models import IdempotencyRecord, Message
from tests.integration.conftest import Elsewhere
from tests.integration.interleaving import just_before

committing = pytest.mark.django_db(transaction=True)

THREAD = "a thread"
LEVELS = ["read\\ committed", "repeatable\\ read", "serializable"]


def append(engine: PostgresEngine, key: str = "the key") -> bytes:
    """Append a message, once, and return its id."""

    def act() -> bytes:
        body = {"role": "user", "content": "Hello"}
        (saved,) = engine.memory.save_memory(thread_id=THREAD, resource_id="anna", messages=[body])
        return saved.id.encode()

    return engine.run_idempotent(owner="anna", key=key, body=b"Hello", act=act)


@committing
@pytest.mark.parametrize("isolation", LEVELS)
def test_one_that_begins_as_another_ends_does_not_act_again(
    engine: PostgresEngine, elsewhere: Elsewhere, isolation: str
) -> None:
    """Even where its transaction still sees things as they were before."""
    append(engine, "another key")
    isolated = elsewhere(default_transaction_isolation=isolation)
    before: list[bytes] = []
    other_acts = lambda: before.append(append(engine))  # noqa: E731
    with just_before("pg_try_advisory_xact_lock", other_acts, on=isolated):
        assert [append(isolated)] == before
    assert Message.objects.count() == 2


@committing
def test_an_answer_is_kept_with_the_callers_commit(engine: PostgresEngine) -> None:
    for _ in range(2):
        with transaction.atomic():
            append(engine)
            transaction.set_rollback(True)
        assert not IdempotencyRecord.objects.exists()
    with transaction.atomic():
        first = append(engine)
    assert append(engine) == first
    assert Message.objects.count() == 1


def stale(number: int) -> None:
    over = Now() - timedelta(hours=1)
    IdempotencyRecord.objects.bulk_create(
        IdempotencyRecord(id=UUID(int=item), body_hash=UUID(int=0), response=b"", expires_at=over)
        for item in range(number)
    )


@pytest.fixture
def one_row_known(db: None) -> None:
    """Statistics of a table with a single row, which the planner would read for every other."""
    stale(1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE mastra_engine_idempotencyrecord")
    IdempotencyRecord.objects.all().delete()


@pytest.mark.usefixtures("one_row_known")
def test_each_call_deletes_more_than_it_adds(engine: PostgresEngine) -> None:
    stale(3 * DELETED_PER_CALL)
    for calls in range(1, 4):
        append(engine, f"{calls}")
        assert IdempotencyRecord.objects.count() == (3 - calls) * DELETED_PER_CALL + calls
    append(engine, "1")
    assert IdempotencyRecord.objects.count() == 3


@pytest.mark.django_db
def test_all_that_is_over_can_be_deleted(engine: PostgresEngine) -> None:
    stale(20)
    append(engine)
    assert engine.expire_idempotency_records() == 20 - DELETED_PER_CALL
    assert IdempotencyRecord.objects.count() == 1


@committing
def test_what_another_deletes_is_not_waited_for(
    engine: PostgresEngine, other: PostgresEngine
) -> None:
    stale(DELETED_PER_CALL + 1)
    with transaction.atomic():
        for item in (engine, other):
            item.run_idempotent(owner="anna", key=item.session.alias, body=b"", act=bytes)
    assert not IdempotencyRecord.objects.filter(expires_at__lt=Now()).exists()
