"""The agent memory of the mock and of the PostgreSQL engine, driven side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mastra_engine import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.testing.contract.recall import BagOfWords
from tests.property.pair import QUIET, Pair
from tests.property.strategies import DOCUMENTS, METADATA_FILTERS, TEXT

THREADS = ("t", "T", "\u00e9", "a b")
THREAD = st.sampled_from(THREADS)
RESOURCE = st.sampled_from(["alice", "bob"])
OWNERS = st.none() | st.lists(RESOURCE, max_size=2)
KEY = st.none() | st.sampled_from("kl")
ID = st.sampled_from([f"m{n}" for n in range(12)])
CALL = st.sampled_from(["c1", "c2"])
WORDS = st.lists(st.sampled_from(["dog", "cat", "bird", "\u00e9"]), max_size=3).map(" ".join)
VERSION = st.none() | st.integers(0, 3)

PARTS = st.lists(
    st.one_of(
        st.builds(lambda words: {"type": "text", "text": words}, WORDS),
        st.builds(lambda id: {"type": "tool-call", "tool_call_id": id, "tool_name": "t"}, CALL),
        st.builds(lambda id: {"type": "tool_result", "tool_use_id": id, "content": "x"}, CALL),
        st.builds(lambda document: {**document, "type": "own"}, DOCUMENTS),
    ),
    max_size=3,
)
MESSAGE = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "tool", "system"]),
        "content": WORDS | PARTS,
        "metadata": DOCUMENTS,
        "tool_call_id": st.none() | CALL,
    },
    optional={"id": ID},
)
HOLDER = st.one_of(
    st.builds(lambda id: {"resource_id": id}, RESOURCE),
    st.builds(lambda id: {"thread_id": id}, THREAD),
)
CHANGE = st.one_of(
    st.builds(lambda text: {"content": text}, TEXT),
    st.builds(lambda document: {"content": document}, DOCUMENTS),
    st.builds(lambda document: {"patch": document}, DOCUMENTS),
)


Do = Callable[[Memory], Any]


def confined(do: Do, owners: list[str] | None) -> Callable[[MastraEngine], Any]:
    if owners is None:
        return lambda engine: do(engine.memory)
    return lambda engine: do(engine.memory.within(resource_ids=owners))


class Memories(RuleBasedStateMachine):
    """Times cannot be compared, since each engine has its own; the orders that they make are."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.pair = Pair()
        self.changed = False
        for engine in (self.pair.mock, self.pair.postgres):
            engine.vectors.embedder = BagOfWords()
            engine.memory.embeds_at_once = False

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def call(self, do: Do, owners: list[str] | None = None) -> Any:
        self.changed = True
        return self.pair.call(confined(do, owners))

    def read(self, do: Do, owners: list[str] | None = None) -> Any:
        return self.pair.read(confined(do, owners))

    # Threads

    @initialize(metadata=DOCUMENTS)
    def begin(self, metadata: Any) -> None:
        self.call(lambda m: m.create_thread(thread_id="t", resource_id="alice", metadata=metadata))

    @rule(id=THREAD, resource=RESOURCE, title=TEXT, metadata=DOCUMENTS, owners=OWNERS)
    def create_thread(self, id: str, resource: str, title: str, metadata: Any, owners: Any) -> None:
        self.call(
            lambda m: m.create_thread(
                thread_id=id, resource_id=resource, title=title, metadata=metadata
            ),
            owners,
        )

    @rule(
        id=THREAD,
        title=TEXT,
        metadata=DOCUMENTS,
        mode=st.sampled_from(["merge", "replace"]),
        version=VERSION,
        owners=OWNERS,
    )
    def update_thread(
        self, id: str, title: str, metadata: Any, mode: Any, version: int | None, owners: Any
    ) -> None:
        self.call(
            lambda m: m.update_thread(
                thread_id=id, title=title, metadata=metadata, mode=mode, if_version=version
            ),
            owners,
        )

    @rule(id=THREAD, resource=RESOURCE, version=VERSION, owners=OWNERS)
    def transfer_thread(self, id: str, resource: str, version: int | None, owners: Any) -> None:
        self.call(
            lambda m: m.transfer_thread(thread_id=id, resource_id=resource, if_version=version),
            owners,
        )

    @rule(
        id=THREAD,
        new=THREAD,
        resource=st.none() | RESOURCE,
        metadata=DOCUMENTS,
        last=st.none() | ID,
        owners=OWNERS,
    )
    def clone_thread(
        self, id: str, new: str, resource: str | None, metadata: Any, last: Any, owners: Any
    ) -> None:
        self.call(
            lambda m: m.clone_thread(
                thread_id=id,
                new_thread_id=new,
                resource_id=resource,
                metadata=metadata,
                up_to_message_id=last,
            ),
            owners,
        )

    @rule(id=THREAD, owners=OWNERS)
    def delete_thread(self, id: str, owners: Any) -> None:
        self.call(lambda m: m.delete_thread(thread_id=id), owners)

    @rule(
        resource=RESOURCE,
        where=METADATA_FILTERS,
        limit=st.integers(1, 2),
        order=st.sampled_from(["asc", "desc"]),
        key=st.sampled_from(["updated_at", "created_at"]),
    )
    def list_threads(self, resource: str, where: Any, limit: int, order: Any, key: Any) -> None:
        def read(memory: Memory) -> list[Any]:
            pages, cursor = [], None
            while True:
                page = memory.list_threads(
                    resource_id=resource,
                    metadata=where,
                    limit=limit,
                    cursor=cursor,
                    order=order,
                    order_by=key,
                )
                pages.append(page)
                cursor = page.next_cursor
                if cursor is None:
                    return pages

        self.read(read)
        self.read(lambda m: m.count_threads(resource_id=resource, metadata=where))

    # Messages

    @rule(
        id=THREAD,
        messages=st.lists(MESSAGE, max_size=4),
        resource=st.none() | RESOURCE,
        key=KEY,
        owners=OWNERS,
    )
    def save_memory(self, id: str, messages: Any, resource: Any, key: Any, owners: Any) -> None:
        call = {"thread_id": id, "messages": messages, "resource_id": resource}
        for _ in range(2 if key else 1):
            self.call(lambda m: m.save_memory(**call, idempotency_key=key), owners)

    @rule(ids=st.lists(ID, max_size=4), owners=OWNERS)
    def delete_messages(self, ids: list[str], owners: Any) -> None:
        self.read(lambda m: m.get_messages_by_id(ids=ids), owners)
        self.call(lambda m: m.delete_messages(ids=ids), owners)

    @rule(id=THREAD, positions=st.sets(st.integers(1, 9), max_size=3))
    def delete_positions(self, id: str, positions: set[int]) -> None:
        def delete(memory: Memory) -> int:
            listed = memory.list_messages(thread_id=id)
            return memory.delete_messages(
                ids=[message.id for message in listed if message.position in positions]
            )

        self.call(delete)

    @rule(
        id=THREAD,
        role=st.none() | st.sampled_from(["user", "tool"]),
        where=METADATA_FILTERS,
        order=st.sampled_from(["asc", "desc"]),
        limit=st.integers(1, 3),
    )
    def list_messages(self, id: str, role: Any, where: Any, order: Any, limit: int) -> None:
        def read(memory: Memory) -> list[Any]:
            pages, cursor = [], None
            while True:
                page = memory.list_messages(
                    thread_id=id,
                    role=role,
                    metadata=where,
                    order=order,
                    limit=limit,
                    cursor=cursor,
                )
                pages.append(page)
                cursor = page.next_cursor
                if cursor is None:
                    return pages

        self.read(read)

    @rule(
        id=THREAD,
        budget=st.none() | st.integers(0, 80),
        format=st.sampled_from(["raw", "openai", "anthropic"]),
        between=st.lists(st.none() | st.integers(0, 7), min_size=2, max_size=2),
        extras=st.fixed_dictionaries(
            {}, optional={"system": TEXT, "working_memory": st.just(True), "query": WORDS}
        ),
        owners=OWNERS,
    )
    def get_context_window(
        self, id: str, budget: Any, format: Any, between: Any, extras: Any, owners: Any
    ) -> None:
        def read(memory: Memory) -> Any:
            times = [message.created_at for message in memory.list_messages(thread_id=id)]
            start, end = (
                times[at % len(times)] if at is not None and times else None for at in between
            )
            window = memory.get_context_window(
                thread_id=id, max_tokens=budget, format=format, start=start, end=end, **extras
            )
            assert budget is None or window.tokens <= budget
            return window

        self.call(read, owners)

    @rule(id=THREAD, last=st.integers(0, 3), query=st.none() | WORDS, owners=OWNERS)
    def get_memory(self, id: str, last: int, query: Any, owners: Any) -> None:
        self.call(
            lambda m: m.get_memory(thread_id=id, last=last, query=query, scope="resource"), owners
        )

    # Recall

    @rule(
        query=WORDS,
        whose=HOLDER,
        around=st.tuples(st.integers(0, 2), st.integers(0, 2)),
        where=METADATA_FILTERS,
        owners=OWNERS,
    )
    def recall_all(self, query: str, whose: Any, around: Any, where: Any, owners: Any) -> None:
        """All hits: which of equally close ones comes first hangs on their last bit."""

        def read(memory: Memory) -> Any:
            matches = memory.recall(
                **whose, query=query, top_k=100, message_range=around, filter=where
            )
            return sorted(matches, key=lambda message: (message.thread_id, message.position))

        self.call(read, owners)

    @rule()
    def prepare_index(self) -> None:
        self.call(lambda m: (index := m.prepare_index()) and (index.name, index.dimension))

    @rule()
    def reembed(self) -> None:
        self.call(lambda m: m.reembed())

    @rule(whose=HOLDER | st.just({}), owners=OWNERS)
    def embed_pending(self, whose: Any, owners: Any) -> None:
        self.call(lambda m: m.embed_pending(**whose), owners)

    # Working memory

    @rule(holder=HOLDER, change=CHANGE, version=VERSION, owners=OWNERS)
    def update_working_memory(self, holder: Any, change: Any, version: Any, owners: Any) -> None:
        self.call(lambda m: m.update_working_memory(**holder, **change, if_version=version), owners)

    @rule(format=st.sampled_from(["openai", "anthropic"]))
    def working_memory_tool(self, format: Any) -> None:
        self.read(lambda m: m.working_memory_tool(format=format))

    # Leaving

    @rule(before=st.sampled_from(["2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"]))
    def expire_messages(self, before: str) -> None:
        self.call(lambda m: m.expire_messages(before=before))

    @rule(id=THREAD, new=st.none() | THREAD)
    def move(self, id: str, new: str | None) -> None:
        def reimport(memory: Memory) -> Any:
            lines = list(memory.export_thread(thread_id=id))
            if new is None:
                memory.delete_thread(thread_id=id)
            return memory.import_thread(lines=lines, thread_id=new)

        self.call(reimport)

    @rule(resource=RESOURCE)
    def export(self, resource: str) -> None:
        """Compare the exports without their ids and times."""

        def lines(engine: MastraEngine) -> list[list[str]]:
            exported = map(json.loads, engine.export_resource(resource_id=resource))
            columns = ("kind", "title", "position", "content", "data", "version")
            return sorted([repr(line.get(column)) for column in columns] for line in exported)

        self.pair.call(lines)

    @rule(resource=RESOURCE, dry_run=st.booleans())
    def erase(self, resource: str, dry_run: bool) -> None:
        self.changed = True
        self.pair.call(lambda e: e.erase(resource_id=resource, dry_run=dry_run))

    @invariant()
    def all_is_equal(self) -> None:
        """Should reading change something all the same, it shows after the next change."""
        if not self.changed:
            return
        for resource in ("alice", "bob"):
            self.read(lambda m, id=resource: m.list_threads(resource_id=id))
            self.read(lambda m, id=resource: m.get_working_memory(resource_id=id))
            self.pair.read(lambda e, id=resource: e.erase(resource_id=id, dry_run=True))
        for id in THREADS:
            self.read(lambda m, id=id: m.get_thread(thread_id=id))
            self.read(lambda m, id=id: m.list_messages(thread_id=id))
            self.read(lambda m, id=id: m.get_working_memory(thread_id=id))
            self.read(lambda m, id=id: m.get_context_window(thread_id=id, max_tokens=30))
        self.changed = False


@pytest.mark.django_db
def test_memories_agree_for_a_while() -> None:
    run_state_machine_as_test(
        Memories, settings=settings(max_examples=40, stateful_step_count=25, **QUIET)
    )


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.django_db
def test_memories_agree_over_ten_thousand_steps() -> None:
    run_state_machine_as_test(
        Memories, settings=settings(max_examples=250, stateful_step_count=40, **QUIET)
    )
