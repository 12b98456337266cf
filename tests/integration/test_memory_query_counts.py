"""How many statements each method of memory sends, however many messages there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.postgres import PostgresEngine
from tests.concurrency.memory_work import Letters
from tests.integration.queries import statements

pytestmark = pytest.mark.django_db(transaction=True)

Call = Callable[[Memory], Any]

SIZE = 40
THREAD, OTHER = "a thread", "another"


def texts(size: int, name: str = "message") -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Text {i}", "id": f"{name} {i}"} for i in range(size)]


def ids(size: int) -> list[str]:
    return [f"message {i}" for i in range(size)]


@pytest.fixture
def memory(transactional_db: None) -> Memory:
    """A memory that embeds nothing by itself, with two threads and working memory of both kinds."""
    memory = PostgresEngine(embedder=Letters()).memory
    memory.embeds_at_once = False
    memory.save_memory(thread_id=OTHER, messages=texts(2, "other"), resource_id="anna")
    memory.save_memory(
        thread_id=THREAD, messages=texts(SIZE), resource_id="anna", idempotency_key="there"
    )
    memory.update_working_memory(resource_id="anna", content="Likes tea")
    memory.update_working_memory(thread_id=THREAD, content="Asks about tea")
    memory.embed_pending()
    return memory


def save(size: int, **options: Any) -> Call:
    options = {"thread_id": THREAD, "messages": texts(size, "new"), **options}
    return lambda memory: memory.save_memory(**options)


def embedding(call: Call) -> Call:
    """Do it with messages embedded as they are saved."""

    def embedding(memory: Memory) -> Any:
        memory.embeds_at_once = True
        return call(memory)

    return embedding


def export(memory: Memory) -> list[str]:
    return list(memory.export_thread(thread_id=THREAD))


def expire(memory: Memory) -> int:
    return memory.expire_messages(before=datetime.now(UTC) + timedelta(days=1))


EXPORTED = ['{"id": "x", "resource_id": "anna"}', *(json.dumps(text) for text in texts(SIZE, "x"))]
AN_AGE_AGO = datetime(1900, 1, 1, tzinfo=UTC)

# A transaction of the engine's own begins with its lock timeout. A recall looks for the thread, for
# what waits for its vector, for statistics of words, which are kept, and for the query's words; it
# searches by vectors and words at once, and for what is beside the best; then come the messages. To
# embed is to list the pending messages, to begin, to mark and lock them, and to store vectors.
COUNTS: list[tuple[str, str, int, Call]] = [
    ("create_thread", "", 3, lambda memory: memory.create_thread(resource_id="anna")),
    ("get_thread", "", 1, lambda memory: memory.get_thread(thread_id=THREAD)),
    ("list_threads", "", 1, lambda memory: memory.list_threads(resource_id="anna")),
    ("count_threads", "", 1, lambda memory: memory.count_threads(resource_id="anna")),
    (
        "update_thread",
        "",
        3,
        lambda memory: memory.update_thread(thread_id=THREAD, metadata={"a": 1}, if_version=1),
    ),
    # the lock timeout, the thread, its vectors, and all that moves
    (
        "transfer_thread",
        "",
        5,
        lambda memory: memory.transfer_thread(thread_id=THREAD, resource_id="bert"),
    ),
    ("clone_thread", "", 6, lambda memory: memory.clone_thread(thread_id=THREAD)),
    (
        "clone_thread",
        "up to a message",
        7,
        lambda memory: memory.clone_thread(thread_id=THREAD, up_to_message_id="message 9"),
    ),
    ("delete_thread", "", 5, lambda memory: memory.delete_thread(thread_id=THREAD)),
    # One statement and nothing else.
    ("save_memory", "one", 1, save(1)),
    ("save_memory", "many", 1, save(SIZE, resource_id="anna", idempotency_key="new")),
    ("save_memory", "none", 1, save(0)),
    ("save_memory", "embedded", 5, embedding(save(1))),
    ("save_memory", "many embedded", 6, embedding(save(SIZE))),
    # what went wrong, the call that is known, what it stored
    ("save_memory", "again", 3, save(SIZE, messages=texts(SIZE), idempotency_key="there")),
    # that there is no thread; then the lock timeout, the thread, the messages
    ("save_memory", "to a new thread", 4, save(SIZE, thread_id="new", resource_id="anna")),
    ("get_memory", "", 3, lambda memory: memory.get_memory(thread_id=THREAD, last=SIZE)),
    (
        "get_memory",
        "with recall",
        10,
        lambda memory: memory.get_memory(thread_id=THREAD, query="Text 1", top_k=SIZE),
    ),
    ("get_context_window", "", 1, lambda memory: memory.get_context_window(thread_id=THREAD)),
    (
        "get_context_window",
        "of some tokens",
        1,
        lambda memory: memory.get_context_window(thread_id=THREAD, max_tokens=100),
    ),
    (
        "get_context_window",
        "with all that goes in front",
        10,
        lambda memory: memory.get_context_window(
            thread_id=THREAD, max_tokens=1_000, working_memory=True, query="Text 1", system="Be"
        ),
    ),
    ("list_messages", "", 1, lambda memory: memory.list_messages(thread_id=THREAD)),
    ("get_messages_by_id", "", 1, lambda memory: memory.get_messages_by_id(ids=ids(SIZE))),
    # the lock timeout, the thread, messages, sums, counters, and vectors
    ("delete_messages", "", 7, lambda memory: memory.delete_messages(ids=ids(20))),
    (
        "recall",
        "",
        7,
        lambda memory: memory.recall(query="Text 1", thread_id=THREAD, top_k=SIZE),
    ),
    ("embed_pending", "nothing", 1, lambda memory: memory.embed_pending()),
    # the old index goes, a new one is made (eighteen), and all is embedded
    ("reembed", "", 30, lambda memory: memory.reembed()),
    ("prepare_index", "", 3, lambda memory: memory.prepare_index()),
    ("export_thread", "", 2, export),
    (
        "import_thread",
        "",
        4,
        lambda memory: memory.import_thread(lines=EXPORTED),
    ),
    # the threads, and by thread the lock timeout, the thread, its old messages, and as above
    ("expire_messages", "none", 1, lambda memory: memory.expire_messages(before=AN_AGE_AGO)),
    ("expire_messages", "all of two threads", 22, expire),
    ("get_working_memory", "", 1, lambda memory: memory.get_working_memory(resource_id="anna")),
    ("get_working_memory", "thread", 2, lambda memory: memory.get_working_memory(thread_id=THREAD)),
    (
        "update_working_memory",
        "",
        2,
        lambda memory: memory.update_working_memory(resource_id="anna", patch={"tea": True}),
    ),
    (
        "update_working_memory",
        "thread",
        3,
        lambda memory: memory.update_working_memory(thread_id=THREAD, content="x", if_version=1),
    ),
    ("working_memory_tool", "", 0, lambda memory: memory.working_memory_tool()),
]


@pytest.mark.parametrize(
    ("number", "call"),
    [(number, call) for _, _, number, call in COUNTS],
    ids=[f"{method} {case}".strip() for method, case, _, _ in COUNTS],
)
def test_a_method_sends_a_fixed_number_of_statements(
    memory: Memory, number: int, call: Call
) -> None:
    sent = statements(lambda: call(memory))
    assert len(sent) == number, "\n".join(sql[:100] for sql in sent)


def test_every_method_of_memory_is_counted() -> None:
    methods = {name for name in dir(Memory) if f"a{name}" in dir(Memory)}
    counted = {method for method, *_ in COUNTS}
    assert methods == counted, (
        f"Add rows to COUNTS in {__file__}, or remove them: {', '.join(sorted(methods ^ counted))}"
    )
