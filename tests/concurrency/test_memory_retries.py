"""A call whose answer is lost is repeated: with a key, it is done once."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from django.db import connection, connections

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import Unavailable
from mastra_engine.models import Message as MessageRow
from mastra_engine.models import Thread as ThreadRow
from mastra_engine.types import Message
from tests.concurrency.cutting import CuttingProxy, Moment

pytestmark = pytest.mark.django_db(transaction=True)

ALIAS, THREAD = "through the proxy", "a thread"
APPEND = "INSERT INTO mastra_engine_message"


@pytest.fixture
def proxy(transactional_db: None) -> Iterator[CuttingProxy]:
    connection.ensure_connection()
    server = connection.connection.info
    with CuttingProxy(server.host, server.port) as proxy:
        yield proxy


@pytest.fixture
def memory(proxy: CuttingProxy) -> Iterator[Memory]:
    """The memory of an engine that is connected through the proxy."""
    connections[ALIAS] = through = connection.copy(ALIAS)
    through.settings_dict |= {
        "HOST": "127.0.0.1",
        "PORT": proxy.port,
        "OPTIONS": {"sslmode": "disable", "gssencmode": "disable"},
    }
    yield PostgresEngine(database=ALIAS).memory
    through.close()
    del connections[ALIAS]


def save(memory: Memory, number: int, key: str | None, id: str | None = None) -> list[Message]:
    messages = [{"role": "user", "content": f"Message {number}", "id": id}]
    return memory.save_memory(
        thread_id=THREAD, messages=messages, resource_id="anna", idempotency_key=key
    )


@pytest.mark.parametrize("times", [100, pytest.param(600, marks=pytest.mark.long)])
def test_appends_that_lost_their_connection_are_stored_once(
    memory: Memory, proxy: CuttingProxy, times: int
) -> None:
    for number in range(times):
        moment: Moment = "before" if number % 10 == 9 else "after"
        # The first makes the thread as well, in a transaction.
        proxy.cut("COMMIT" if number == 0 else APPEND, moment)
        key, id = f"key {number}", random.choice([None, f"message {number}"])
        with pytest.raises(Unavailable):
            save(memory, number, key, id)
        (saved,) = save(memory, number, key, id)
        assert saved.position == number + 1
        assert saved.content == [{"type": "text", "text": f"Message {number}"}]
    assert proxy.cuts == times
    assert MessageRow.objects.count() == times
    assert ThreadRow.objects.get().message_count == times


@pytest.mark.parametrize(("moment", "stored"), [("before", 1), ("after", 2)])
def test_without_a_key_the_outcome_is_unknown(
    memory: Memory, proxy: CuttingProxy, moment: Moment, stored: int
) -> None:
    """And so the cuts are where they are meant to be."""
    memory.create_thread(resource_id="anna", thread_id=THREAD)
    proxy.cut(APPEND, moment)
    with pytest.raises(Unavailable):
        save(memory, 1, None)
    save(memory, 1, None)
    assert MessageRow.objects.count() == stored
