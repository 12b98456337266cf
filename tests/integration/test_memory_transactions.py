"""What memory does is part of the caller's transaction, and its waits are bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.backends.postgres.memory import PostgresMemoryStore
from mastra_engine.exceptions import (
    Conflict,
    IdempotencyConflict,
    InvalidInput,
    ThreadExists,
    ThreadNotFound,
    Unavailable,
    VersionConflict,
)
from mastra_engine.models import Embedding, IdempotentAppend, Message, Thread, WorkingMemory
from tests.concurrency.memory_work import Letters
from tests.integration.conftest import Elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

Call = Callable[[Memory], object]


def alias_of(memory: Memory) -> str:
    store = memory.context.store
    assert isinstance(store, PostgresMemoryStore)
    return store.session.alias


THREAD = "a thread"


def texts(*ids: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Text {id}", "id": id} for id in ids]


@pytest.fixture
def memory(transactional_db: None) -> Memory:
    memory = PostgresEngine(embedder=Letters()).memory
    memory.save_memory(
        thread_id=THREAD, messages=texts("1", "2", "3"), resource_id="anna", idempotency_key="key"
    )
    memory.update_working_memory(resource_id="anna", content={"tea": True})
    memory.update_working_memory(thread_id=THREAD, content="Asks about tea")
    return memory


def contents(alias: str = "default") -> list[list[Any]]:
    tables = (Thread, Message, IdempotentAppend, WorkingMemory)
    vectors = Embedding.objects.using(alias).order_by("vector_id")
    rows = [list(table.objects.using(alias).order_by("pk").values_list()) for table in tables]
    return [*rows, list(vectors.values_list("vector_id", "metadata"))]


def save(**options: Any) -> Call:
    options = {"thread_id": THREAD, "messages": texts("4"), **options}
    return lambda memory: memory.save_memory(**options)


def expire(memory: Memory) -> object:
    return memory.expire_messages(before=datetime.now(UTC) + timedelta(days=1))


EXPORTED = ['{"id": "new", "resource_id": "anna"}', '{"role": "user", "content": "Text"}']

WRITES: dict[str, Call] = {
    "create_thread": lambda memory: memory.create_thread(resource_id="anna", thread_id="new"),
    "update_thread": lambda memory: memory.update_thread(thread_id=THREAD, title="New"),
    "transfer_thread": lambda memory: memory.transfer_thread(thread_id=THREAD, resource_id="bert"),
    "clone_thread": lambda memory: memory.clone_thread(thread_id=THREAD, new_thread_id="new"),
    "delete_thread": lambda memory: memory.delete_thread(thread_id=THREAD),
    "import_thread": lambda memory: memory.import_thread(lines=EXPORTED),
    "save_memory": save(idempotency_key="new"),
    "save_memory to a new thread": save(thread_id="new", resource_id="anna"),
    "delete_messages": lambda memory: memory.delete_messages(ids=["1", "3"]),
    "expire_messages": expire,
    "update_working_memory": lambda memory: memory.update_working_memory(
        resource_id="anna", patch={"tea": False}
    ),
    "update_working_memory of a thread": lambda memory: memory.update_working_memory(
        thread_id=THREAD, content="New"
    ),
    "reembed": lambda memory: memory.reembed(),
}
#: Those that have to wait for whoever holds the thread's row.
WAITING = {
    name: WRITES[name]
    for name in (
        "update_thread",
        "transfer_thread",
        "delete_thread",
        "save_memory",
        "delete_messages",
        "expire_messages",
    )
}


def cases(calls: dict[str, Call]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", calls.values(), ids=calls.keys())


# The caller's transaction


@cases(WRITES)
def test_a_write_rolls_back_with_the_callers_transaction(memory: Memory, call: Call) -> None:
    before = contents()
    with transaction.atomic():
        call(memory)
        transaction.set_rollback(True)
    assert contents() == before


@cases(WRITES)
def test_a_write_takes_effect_for_others_with_the_callers_commit(
    memory: Memory, other: PostgresEngine, call: Call
) -> None:
    before = contents()
    with transaction.atomic():
        call(memory)
        if call is not WRITES["reembed"]:  # that locks the table of vectors
            assert contents(other.session.alias) == before
    assert contents(other.session.alias) == contents() != before


@pytest.mark.parametrize("name", ["save_memory", "clone_thread", "import_thread"])
def test_messages_are_embedded_after_the_callers_commit(memory: Memory, name: str) -> None:
    vectors = Embedding.objects.count()
    with transaction.atomic():
        WRITES[name](memory)
        assert Message.objects.filter(embedded_at=None).exists()
        assert Embedding.objects.count() == vectors
    assert not Message.objects.filter(embedded_at=None).exists()
    assert Embedding.objects.count() == Message.objects.count() > vectors


def test_messages_that_are_rolled_back_are_not_embedded(memory: Memory) -> None:
    calls: list[str] = []

    class Listening(Letters):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            calls.extend(texts)
            return super().embed_documents(texts)

    memory.vectors.embedder = Listening()
    with transaction.atomic():
        save()(memory)
        transaction.set_rollback(True)
    assert calls == []
    save()(memory)
    assert calls == ["Text 4"]


REFUSALS: dict[str, tuple[type[Exception], Call]] = {
    "ThreadExists": (
        ThreadExists,
        lambda memory: memory.create_thread(resource_id="anna", thread_id=THREAD),
    ),
    "ThreadNotFound": (ThreadNotFound, save(thread_id="none")),
    "ThreadNotFound of another's": (ThreadNotFound, save(resource_id="bert")),
    "Conflict": (Conflict, save(messages=texts("4", "1"))),
    "Conflict in a new thread": (
        Conflict,
        save(thread_id="new", resource_id="anna", messages=texts("4", "1")),
    ),
    "Conflict of an import": (
        Conflict,
        lambda memory: memory.import_thread(
            lines=[EXPORTED[0], '{"id": "1", "role": "user", "content": "Text"}']
        ),
    ),
    "IdempotencyConflict": (IdempotencyConflict, save(idempotency_key="key")),
    "VersionConflict": (
        VersionConflict,
        lambda memory: memory.update_thread(thread_id=THREAD, title="New", if_version=7),
    ),
    "VersionConflict of working memory": (
        VersionConflict,
        lambda memory: memory.update_working_memory(
            resource_id="anna", patch={"tea": False}, if_version=7
        ),
    ),
    "InvalidInput": (InvalidInput, save(messages=[*texts("4"), {"role": "user"}])),
}


@pytest.mark.parametrize(("error", "call"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_changes_nothing_and_leaves_the_callers_transaction_usable(
    memory: Memory, error: type[Exception], call: Call
) -> None:
    with transaction.atomic():
        save(messages=texts("mine"))(memory)
        before = contents()
        with pytest.raises(error):
            call(memory)
        assert contents() == before
        save(messages=texts("mine too"))(memory)
    assert len(memory.get_messages_by_id(ids=["mine", "mine too"])) == 2


@pytest.mark.parametrize(("error", "call"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_outside_a_transaction_changes_nothing(
    memory: Memory, error: type[Exception], call: Call
) -> None:
    before = contents()
    with pytest.raises(error):
        call(memory)
    assert contents() == before
    assert connection.get_autocommit()


@cases(WRITES)
def test_a_transaction_without_atomic_belongs_to_the_caller(memory: Memory, call: Call) -> None:
    """Nobody can say when it commits: new messages wait until somebody embeds them."""
    before = contents()
    transaction.set_autocommit(False)
    try:
        call(memory)
        transaction.rollback()
        assert contents() == before
        call(memory)
        transaction.commit()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert contents() != before
    memory.embed_pending()
    assert not Message.objects.filter(embedded_at=None).exists()
    assert Embedding.objects.count() == Message.objects.count()


# Waits


def lock_timeout(alias: str = "default") -> str:
    with connections[alias].cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        (value,) = cursor.fetchone()
    return str(value)


@contextmanager
def locked_by(other: PostgresEngine, sql: str) -> Iterator[None]:
    """Somebody else executes `sql` and does not commit."""
    with transaction.atomic(using=other.session.alias):
        with connections[other.session.alias].cursor() as cursor:
            cursor.execute(sql)
        yield
        transaction.set_rollback(True, using=other.session.alias)


HOLD_THREAD = "SELECT FROM mastra_engine_thread FOR UPDATE"
MAKE_THREAD = """
    INSERT INTO mastra_engine_thread (id, resource_id, metadata) VALUES ('new', 'anna', '{}')
"""


@pytest.fixture
def hasty(elsewhere: Elsewhere) -> Memory:
    """A memory that does not wait long; the server ends what would wait for ever."""
    return elsewhere(lock_timeout=0.2, statement_timeout="5s").memory


@contextmanager
def gives_up() -> Iterator[None]:
    """Check that the lock timeout ends what is in the block, and not the statement timeout."""
    with pytest.raises(Unavailable, match="55P03"):
        yield


@cases(WAITING)
def test_a_locked_thread_is_unavailable_after_the_lock_timeout(
    memory: Memory, hasty: Memory, other: PostgresEngine, call: Call
) -> None:
    before = contents()
    with locked_by(other, HOLD_THREAD), gives_up():
        call(hasty)
    assert contents() == before
    call(hasty)
    assert contents() != before
    assert lock_timeout(alias_of(hasty)) == "0"


@pytest.mark.parametrize("name", ["create_thread", "save_memory to a new thread", "clone_thread"])
def test_a_thread_being_created_is_unavailable_after_the_lock_timeout(
    memory: Memory, hasty: Memory, other: PostgresEngine, name: str
) -> None:
    with locked_by(other, MAKE_THREAD), gives_up():
        WRITES[name](hasty)
    WRITES[name](hasty)
    assert memory.get_thread(thread_id="new")


def test_readers_do_not_wait_for_a_locked_thread(
    memory: Memory, hasty: Memory, other: PostgresEngine
) -> None:
    with locked_by(other, HOLD_THREAD):
        assert len(hasty.get_memory(thread_id=THREAD).messages) == 3
        assert len(hasty.get_context_window(thread_id=THREAD, max_tokens=100)) == 3
        assert len(hasty.list_messages(thread_id=THREAD)) == 3


def test_an_append_outside_a_transaction_leaves_no_lock_timeout_behind(
    memory: Memory,
) -> None:
    save()(memory)
    with pytest.raises(Conflict):
        save()(memory)
    assert lock_timeout() == "0"


def test_a_lock_timeout_of_zero_leaves_the_servers(
    memory: Memory, elsewhere: Elsewhere, other: PostgresEngine
) -> None:
    servers = elsewhere(lock_timeout=0, statement_timeout="5s").memory
    with connections[alias_of(servers)].cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    with locked_by(other, HOLD_THREAD), gives_up():
        save()(servers)


@cases(WRITES)
def test_a_callers_transaction_keeps_its_own_lock_timeout(memory: Memory, call: Call) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '1234ms'")
        call(memory)
        assert lock_timeout() == "1234ms"
    assert lock_timeout() == "0"


def test_a_callers_transaction_waits_as_long_as_it_says(
    memory: Memory, elsewhere: Elsewhere, other: PostgresEngine
) -> None:
    patient = elsewhere(lock_timeout=60).memory
    alias = alias_of(patient)
    with transaction.atomic(using=alias):
        patient.update_working_memory(resource_id="bert", content="Mine")
        with connections[alias].cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '200ms'")
        with locked_by(other, HOLD_THREAD), gives_up():
            save()(patient)
    assert memory.get_working_memory(resource_id="bert").content == "Mine"
