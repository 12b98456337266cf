"""Enum members and subclasses of `str` are taken as their text, in every argument."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, get_type_hints
from uuid import UUID

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.mock import MockMastraEngine
from mastra_engine.registry import index_records, registry, sync
from mastra_engine.testing.contract.fact_arguments import use_facts
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.testing.contract.state_arguments import use_state
from mastra_engine.testing.contract.sync_runs import Held
from mastra_engine.types import Case, Filter, MessageInput, QueryOptions, RecordInput, Sort


class Shouting(str):
    """A subclass that shows itself as other text than it is."""

    __slots__ = ()

    def __str__(self) -> str:
        return "SHOUTING"

    __format__ = str.__repr__  # type: ignore[assignment]


class _StrMixin(str, Enum):  # noqa: UP042 (StrEnum overrides __str__, and this must not)
    pass


KINDS: dict[str, Callable[[str], Any]] = {
    "subclass": Shouting,
    "str and Enum": lambda text: _StrMixin("Dynamic", {"MEMBER": text}).MEMBER,  # type: ignore[call-overload]
    "StrEnum": lambda text: StrEnum("Dynamic", {"MEMBER": text}).MEMBER,  # type: ignore[attr-defined]
    "Enum": lambda text: Enum("Dynamic", {"MEMBER": text}).MEMBER,  # type: ignore[attr-defined]
}

#: Arguments that mention text in their annotations, but are not text themselves.
_OPAQUE = {"body", "act", "search", "watch", "reranker", "judge"}


#: Ids and times in the lines of an exported thread.
_GENERATED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|20\d\d-\d\d-\d\dT[\d:.+]+")


class Wrapped:
    """Calls an object's methods with each text of the arguments replaced by `wrap(text)`."""

    def __init__(self, target: Any, wrap: Callable[[str], Any]) -> None:
        self.target = target
        self.wrap = wrap
        self.passed: set[tuple[str, str, str]] = set()
        self.results: list[Any] = []

    def call(self, path: str, method: str, **arguments: Any) -> Any:
        target = getattr(self.target, path) if path else self.target
        converted = {}
        for name, value in arguments.items():
            converted[name] = value if name in _OPAQUE else replaced(value, self.wrap)
            self.passed.add((path, method, name))
        result = getattr(target, method)(**converted)
        if isinstance(result, Iterator):
            result = list(result)
        self.results.append((method, plain(result)))
        return result


def replaced(value: Any, wrap: Callable[[str], Any]) -> Any:
    """Return a value with every text in it wrapped, keys included."""
    if isinstance(value, str):
        return wrap(value)
    if isinstance(value, list | tuple | set):
        return type(value)(replaced(item, wrap) for item in value)
    if isinstance(value, Mapping):
        return {replaced(key, wrap): replaced(item, wrap) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(
            **{field.name: replaced(getattr(value, field.name), wrap) for field in fields(value)}
        )
    return value


def plain(result: Any) -> Any:
    """Return a result without the values that differ from run to run; all text must be `str`."""
    if isinstance(result, str):
        assert type(result) is str, repr(result)
        if result.startswith("{"):  # a line of an export; engines order its keys differently
            return plain(json.loads(result))
        return _GENERATED.sub("generated", result)
    if isinstance(result, float):  # the engines compute in other precisions
        return round(result, 5)
    if isinstance(result, UUID | datetime):
        return type(result).__name__
    if isinstance(result, list | tuple):
        return [plain(item) for item in result]
    if isinstance(result, Mapping):
        return {plain(key): plain(item) for key, item in result.items()}
    if is_dataclass(result) and not isinstance(result, type):
        return {
            field.name: plain(getattr(result, field.name))
            for field in fields(result)
            if field.name not in ("size_bytes", "score", "lexical", "next_cursor", "status")
        }
    if isinstance(result, MastraEngine) or hasattr(result, "within"):
        return None
    return result


def use_records(calls: Wrapped) -> None:
    contacts = {"name": "Contacts", "connection_id": "user_123"}
    calls.call("", "create_entity", **contacts)
    entity, _ = calls.call("", "get_or_create_entity", **contacts)
    id = str(entity.id)
    documents = [{"external_id": "1", "data": {"by": "Ann", "n": [{"k": "v"}]}}]
    calls.call("", "sync_records", **contacts, records=documents, last_sync_id="a", mode="full")
    calls.call(
        "",
        "sync_records",
        **contacts,
        records=[RecordInput("1", {"by": "Bob"}), RecordInput("2", {"by": "Cid"}, "Contacts")],
        if_last_sync_id="a",
        last_sync_id="b",
        mode="incremental",
    )
    calls.call("", "upsert_records", entity_id=id, records=documents, mode="merge")
    calls.call(
        "",
        "upsert_records",
        entity_type="Contacts",
        connection_id="user_123",
        records=[{"externalId": "3", "data": {"by": "Dan"}, "entityType": "Contacts"}],
        mode="replace",
    )
    calls.call("", "get_entity", **contacts)
    calls.call("", "get_entity_by_id", id=id)
    page = calls.call("", "list_entities", connection_id="user_123", limit=1)
    calls.call("", "list_entities", connection_id="user_123", cursor=page.next_cursor or None)
    use_queries(calls)
    calls.call("", "get_records_by_entity_id", entity_id=id)
    calls.call("", "get_records_by_entity_name", **contacts)
    calls.call("", "get_record", entity_id=id, external_id="1")
    calls.call("", "get_changes", entity_id=id)
    calls.call("", "follow_changes", entity_id=id, timeout=0.0)
    calls.call("", "delete_records", entity_id=id, external_ids=["2", "9"])
    calls.call("", "purge_deleted_records", entity_id=id, up_to_rev=10_000)


def use_queries(calls: Wrapped) -> None:
    by_name = {"entity_name": "Contacts", "connection_id": "user_123"}
    for options in (
        QueryOptions(filters=[Filter("by", "in", ["Ann", "Dan"])], sort=[Sort("by", "desc")]),
        {"filters": {"by": {"$in": ["Ann", "Bob"]}, "$or": [{"@external_id": "1"}, {"a": "x"}]}},
        {"filters": [{"field": "by", "operator": "starts_with", "value": "A"}], "limit": 1},
        {"filters": {"n": {"$elemMatch": {"k": "v"}}, "@external_id": {"$gte": "0"}}},
        {"filters": {"n": {"$all": [{"$elemMatch": {"k": {"$eq": "v"}}}]}}},
        {"fields": ["by", "n.k"]},
    ):
        calls.call("", "get_records", **by_name, options=options)
        calls.call("", "iter_records", **by_name, options=options)
    first = calls.call("", "get_records", **by_name, options={"limit": 1, "sort": [Sort("by")]})
    again = {"limit": 1, "sort": [Sort("by")], "cursor": first.next_cursor}
    calls.call("", "get_records", **by_name, options=again)
    calls.call(
        "", "count_records", **by_name, filters=[{"field": "by", "operator": "eq", "value": "Ann"}]
    )


def use_other_methods(calls: Wrapped) -> None:
    owned = {"owner": "ann", "key": "k", "body": b"b", "act": lambda: b"done"}
    calls.call("", "run_idempotent", **owned)
    calls.call("", "run_idempotent", **owned)
    cases = [
        Case(query="dog", expected_ids=["1"], connection_id="user_123"),
        {"query": "cat", "expected_ids": ["2"]},
    ]
    calls.call("", "export_resource", resource_id="user_123")
    calls.call("", "evaluate", cases=cases, search=lambda query, **_: ["1", "2"])
    calls.call(
        "", "within", connection_ids={"user_123"}, resource_ids=["ann"], namespaces=("space",)
    )


def declare_notes(wrap: Callable[[str], Any]) -> None:
    """Declare a sync and an index of its records."""

    @sync(entity=wrap("Notes"), name=wrap("notes"), mode=wrap("full"), key=wrap("id"))
    def notes(context: Any) -> Any:
        for n, pet in enumerate(("dog is Bello", "cat is Mia")):
            yield [{"id": str(n), "text": f"the {pet}"}]
            context.checkpoint = {"page": str(n)}

    index_records(
        entity=wrap("Notes"),
        index=wrap("notes"),
        text=lambda data: str(data["text"]),
        metadata=lambda data: {wrap("pet"): wrap(data["text"][4:7])},
    )


def use_syncs(calls: Wrapped) -> None:
    declare_notes(calls.wrap)
    calls.call("", "run_sync", sync="notes", connection_id="user_123")
    run = calls.call("", "run_sync", sync="notes", connection_id="user_123", params={"a": "b"})
    calls.call("", "list_sync_pages", run_id=str(run.id), order="desc", limit=1)
    calls.call("", "get_sync_run", id=str(run.id))
    calls.call("", "get_sync_log", run_id=str(run.id))
    listed = {"sync": "notes", "connection_id": "user_123", "status": "succeeded"}
    page = calls.call("", "list_sync_runs", **listed, limit=1)
    calls.call("", "list_sync_runs", **listed, limit=1, cursor=page.next_cursor)
    pages = calls.call("", "list_sync_pages", run_id=str(run.id), limit=1)
    calls.call("", "list_sync_pages", run_id=str(run.id), limit=1, cursor=pages.next_cursor)
    assert page.next_cursor
    assert pages.next_cursor
    calls.call("", "search_records", query="dog", connection_id="user_123", entity_name="Notes")
    calls.call(
        "",
        "index_pending",
        entity_name="Notes",
        connection_id="user_123",
        index_name="notes",
        rebuild=True,
    )
    values_by_key = {
        "query": "cat",
        "connection_id": "user_123",
        "filter": {"id": "2"},
        "fields": ["id"],
    }
    calls.call("", "search_records", **values_by_key)
    calls.call("", "list_indexings", connection_id="user_123")
    calls.target.queue = Held()
    queued = calls.call("", "enqueue_sync", sync="notes", connection_id="user_123", params={})
    calls.call("", "cancel_sync_run", id=str(queued.id))
    calls.call("", "retry_sync_run", id=str(queued.id))
    calls.call("", "perform_sync_run", id=str(queued.id))
    calls.call("", "enqueue_sync", sync="notes", connection_id="user_124")
    declared = {"sync": "notes", "connection_id": "user_123"}
    calls.call("", "get_sync", **declared)
    calls.call("", "list_syncs", **declared, status="idle")
    syncs = calls.call("", "list_syncs", sync="notes", limit=1)
    assert syncs.next_cursor
    calls.call("", "list_syncs", sync="notes", limit=1, cursor=syncs.next_cursor)
    for change in ("pause_sync", "resume_sync", "reset_sync"):
        calls.call("", change, **declared)
    entity = calls.call("", "get_entity", name="Notes", connection_id="user_123")
    calls.call("", "delete_entity_by_id", id=str(entity.id))
    calls.call("", "erase", connection_id="user_123")


def use_memory(calls: Wrapped) -> None:
    owner = {"resource_id": "ann"}
    calls.call("memory", "create_thread", **owner, thread_id="chat", title="T", metadata={"a": "b"})
    use_messages(calls)
    use_recall(calls)
    changes = {"title": "U", "metadata": {"c": "d"}}
    calls.call("memory", "update_thread", thread_id="chat", **changes, mode="replace")
    calls.call("memory", "transfer_thread", thread_id="chat", **owner)
    use_copies(calls)
    use_working_memory(calls)
    calls.call("memory", "within", resource_ids=["ann"])
    calls.call("memory", "delete_messages", ids=["m4"])
    calls.call("memory", "expire_messages", before="2000-01-01T00:00:00Z")
    calls.call("memory", "delete_thread", thread_id="copy")
    calls.target.memory.embed_pending(resource_id="ann")  # how many wait depends on the engine
    calls.call("", "erase", resource_id="ann")


def use_messages(calls: Wrapped) -> None:
    owner = {"resource_id": "ann"}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    spoken: list[Any] = [
        {"role": "user", "content": "the dog is Bello", "id": "m1", "metadata": {"k": "v"}},
        {"role": "assistant", "content": None, "tool_calls": [call], "id": "m2"},
        {"role": "tool", "content": "done", "tool_call_id": "c1", "id": "m3"},
        {"role": "user", "content": [{"type": "text", "text": "the cat is Mia"}], "id": "m4"},
    ]
    calls.call("memory", "save_memory", thread_id="chat", messages=spoken, idempotency_key="k")
    calls.call("memory", "save_memory", thread_id="chat", messages=spoken, idempotency_key="k")
    later = MessageInput("user", "bye", "m5", None, {"k": "w"}, "2026-01-02T03:04:05+02:00")
    calls.call("memory", "save_memory", thread_id="chat", **owner, messages=[later])
    calls.call("memory", "get_thread", thread_id="chat")
    by_creation = {"order": "asc", "order_by": "created_at"}
    calls.call("memory", "list_threads", **owner, metadata={"a": "b"}, **by_creation)
    calls.call("memory", "count_threads", **owner, metadata={"a": "b"})
    page = calls.call("memory", "list_messages", thread_id="chat", limit=1, order="desc")
    calls.call(
        "memory",
        "list_messages",
        thread_id="chat",
        limit=1,
        order="desc",
        cursor=page.next_cursor,
    )
    calls.call("memory", "list_messages", thread_id="chat", role="user", metadata={"k": "v"})
    calls.call("memory", "get_messages_by_id", ids=["m1", "m5"])


def use_recall(calls: Wrapped) -> None:
    owner = {"resource_id": "ann"}
    remembered = {"query": "dog", "scope": "resource"}
    calls.call("memory", "get_memory", thread_id="chat", **remembered)
    for format in ("raw", "openai", "anthropic"):
        calls.call(
            "memory",
            "get_context_window",
            thread_id="chat",
            format=format,
            system="Be kind.",
            start="2020-01-01T00:00:00Z",
            end="2100-01-01T00:00:00Z",
            **remembered,
        )
    calls.call("memory", "recall", query="dog", **owner, filter={"k": "v"})
    calls.call("memory", "recall", query="dog", thread_id="chat")
    calls.call("memory", "embed_pending", **owner)
    calls.call("memory", "embed_pending", thread_id="chat")


def use_copies(calls: Wrapped) -> None:
    owner = {"resource_id": "ann"}
    calls.call(
        "memory",
        "clone_thread",
        thread_id="chat",
        new_thread_id="copy",
        title="V",
        metadata={"e": "f"},
        up_to_message_id="m3",
        **owner,
    )
    threads = calls.call("memory", "list_threads", **owner, limit=1)
    assert threads.next_cursor
    calls.call("memory", "list_threads", **owner, limit=1, cursor=threads.next_cursor)
    lines = calls.call("memory", "export_thread", thread_id="copy")
    fresh = [{"id": "imported", "resource_id": "ann"}, {"role": "user", "content": "x", "id": "i"}]
    calls.call("memory", "import_thread", lines=fresh, thread_id="imported", **owner)
    assert all(type(line) is str for line in lines)


def use_working_memory(calls: Wrapped) -> None:
    owner = {"resource_id": "ann"}
    calls.call("memory", "update_working_memory", **owner, content="likes tea")
    calls.call("memory", "update_working_memory", thread_id="chat", patch={"name": "Ann"})
    calls.call("memory", "get_working_memory", **owner)
    calls.call("memory", "get_working_memory", thread_id="chat")
    for tool_format in ("openai", "anthropic"):
        calls.call("memory", "working_memory_tool", format=tool_format)


def create_indexes(calls: Wrapped) -> None:
    for index_name, metric, storage, index_type in (
        ("docs", "cosine", "vector", "hnsw"),
        ("halves", "euclidean", "halfvec", "flat"),
        ("bits", "dotproduct", "bit", "ivfflat"),
        ("terms", "cosine", "sparsevec", "hnsw"),
    ):
        calls.call(
            "vectors",
            "create_index",
            index_name=index_name,
            dimension=512,
            metric=metric,
            storage=storage,
            index_type=index_type,
            language="english",
        )


def use_sparse_vectors(calls: Wrapped) -> None:
    """Pass vectors with indices as text, as in JSON."""
    terms = {"index_name": "terms"}
    calls.call("vectors", "upsert", **terms, vectors=[{"7": 1.0, "30": 0.5}], ids=["1"])
    calls.call("vectors", "query", **terms, query_vector={"7": 1.0}, include_vector=True)
    calls.call("vectors", "update_vector", **terms, id="1", vector={"30": 0.5})
    calls.call("vectors", "delete_index", **terms)


def use_vectors(calls: Wrapped) -> None:
    docs = {"index_name": "docs"}
    create_indexes(calls)
    use_sparse_vectors(calls)
    calls.call(
        "vectors",
        "upsert",
        **docs,
        documents=["the dog is Bello", "the cat is Mia"],
        ids=["1", "2"],
        metadata=[{"pet": "dog"}, {"pet": "cat"}],
        namespace="space",
    )
    search = {"namespace": "space", "query_text": "dog", "filter": {"pet": {"$in": ["dog"]}}}
    calls.call("vectors", "query", **docs, **search)
    calls.call("vectors", "query", **docs, **search, hybrid=0.3, min_score=-1, explain=True)
    calls.call("vectors", "get_vectors", **docs, ids=["1"], namespace="space")
    selection = {"filter": {"pet": {"$in": ["dog", "cat"]}}, "namespace": "space"}
    page = calls.call("vectors", "list_vectors", **docs, **selection, limit=1)
    calls.call("vectors", "list_vectors", **docs, **selection, cursor=page.next_cursor)
    calls.call("vectors", "count_vectors", **docs, **selection)
    calls.call(
        "vectors",
        "update_vector",
        **docs,
        id="1",
        document="the dog is Rex",
        metadata={"k": "v"},
        namespace="space",
    )
    calls.call("vectors", "describe_index", **docs)
    calls.call("vectors", "build_index", **docs)
    calls.call("vectors", "delete_vectors", **docs, ids=["2"], namespace="space")
    calls.call("vectors", "delete_vectors", **docs, filter={"k": "v"}, namespace=None)
    calls.call("vectors", "truncate_index", **docs)
    calls.call("vectors", "within", namespaces=["space"])
    bulk = calls.target.vectors.bulk_load(index_name=calls.wrap("docs"))
    calls.passed.add(("vectors", "bulk_load", "index_name"))
    with bulk:
        calls.call("vectors", "upsert", **docs, documents=["a"], ids=["9"], namespace="space")
    calls.call("", "erase", namespace="space")


SCENARIOS = [
    use_records,
    use_other_methods,
    use_syncs,
    use_memory,
    use_vectors,
    use_state,
    use_facts,
]


def text_arguments(engine: MastraEngine) -> set[tuple[str, str, str]]:
    """Return (attribute, method, argument) of every argument that takes text or has text in it."""
    return {
        (path, method, argument)
        for path in ("", "memory", "vectors", "state", "facts")
        for method, function in public_methods(getattr(engine, path) if path else engine)
        for argument, hint in get_type_hints(function).items()
        if argument not in _OPAQUE | {"return"} and takes_text(hint)
    }


def public_methods(target: Any) -> Iterator[tuple[str, Any]]:
    for name in dir(type(target)):
        function = getattr(type(target), name)
        is_async = name.startswith("a") and hasattr(type(target), name[1:])
        if not name.startswith("_") and inspect.isfunction(function) and not is_async:
            yield name, function


def takes_text(hint: Any) -> bool:
    annotation = str(hint)
    return any(word in annotation for word in ("str", "Any", "Literal", "Mapping", "QueryOptions"))


class TestTextArguments:
    @pytest.fixture(autouse=True)
    def _declarations(self) -> Iterator[None]:
        with registry.empty():
            yield

    @pytest.mark.parametrize("scenario", SCENARIOS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_text_is_taken_from_enums_and_subclasses(
        self, engine: MastraEngine, kind: str, scenario: Callable[[Wrapped], None]
    ) -> None:
        engine.vectors.embedder = BagOfWords()
        calls = Wrapped(engine, KINDS[kind])
        scenario(calls)
        with registry.empty():
            model = MockMastraEngine()
            model.vectors.embedder = BagOfWords()
            expected = Wrapped(model, str)
            scenario(expected)
        assert calls.results == expected.results

    def test_every_text_argument_is_in_a_scenario(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = BagOfWords()
        passed: set[tuple[str, str, str]] = set()
        for scenario in SCENARIOS:
            calls = Wrapped(engine, str)
            scenario(calls)
            passed |= calls.passed
        missing = text_arguments(engine) - passed
        assert not missing, (
            f"Pass each of these (service, method, argument) in a scenario in {__file__}: "
            f"{sorted(missing)}"
        )
