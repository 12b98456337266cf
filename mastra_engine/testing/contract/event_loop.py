"""Coroutines: synchronous calls are refused there, and models do not hold the database thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import CalledInEventLoop, EngineError, InvalidInput
from mastra_engine.registry import index_records, registry
from mastra_engine.testing.contract.recall import BagOfWords, Waiting

CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("", "create_entity", {"name": "Contacts", "connection_id": "c"}),
    ("", "list_entities", {}),
    ("", "iter_records", {"entity_name": "Contacts", "connection_id": "c"}),
    ("memory", "create_thread", {"resource_id": "ann"}),
    ("memory", "export_thread", {"thread_id": "t"}),
    ("facts", "list_facts", {"resource_id": "ann"}),
    ("vectors", "list_indexes", {}),
    ("state", "get", {"namespace": ["ann"], "key": "k"}),
    ("vectors", "bulk_load", {"index_name": "docs"}),
]

#: Async calls that embed documents or a query; those of memory are in recall.py.
EMBEDDING: dict[str, Callable[[MastraEngine], Awaitable[Any]]] = {
    "aupsert": lambda engine: engine.vectors.aupsert(index_name="docs", documents=["dog", "cat"]),
    "aupdate_vector": lambda engine: engine.vectors.aupdate_vector(
        index_name="docs", id="1", document="dog"
    ),
    "aquery": lambda engine: engine.vectors.aquery(index_name="docs", query_text="dog"),
    "aindex_pending": lambda engine: engine.aindex_pending(rebuild=True),
    "aprepare_indexes": lambda engine: engine.aprepare_indexes(),
    "asearch_records": lambda engine: engine.asearch_records(query="dog", connection_id="c"),
}


class TestEventLoop:
    @pytest.mark.parametrize(("path", "method", "arguments"), CALLS)
    def test_a_synchronous_call_names_its_async_variant(
        self, engine: MastraEngine, path: str, method: str, arguments: dict[str, Any]
    ) -> None:
        target = getattr(engine, path) if path else engine

        async def call() -> None:
            getattr(target, method)(**arguments)

        with pytest.raises(
            CalledInEventLoop, match=rf"{method}\(\) .* use a{method}\(\)"
        ) as caught:
            asyncio.run(call())
        assert isinstance(caught.value, EngineError)
        assert (caught.value.method, caught.value.async_method) == (method, f"a{method}")

    def test_the_async_variant_works_in_the_coroutine(self, engine: MastraEngine) -> None:
        async def call() -> list[str]:
            await engine.acreate_entity(name="Contacts", connection_id="c")
            return [entity.name for entity in await engine.alist_entities()]

        assert async_to_sync(call)() == ["Contacts"]

    @pytest.mark.parametrize("call", EMBEDDING.values(), ids=EMBEDDING.keys())
    def test_an_embedder_does_not_hold_the_database_thread(
        self, engine: MastraEngine, call: Callable[[MastraEngine], Awaitable[Any]]
    ) -> None:
        engine.vectors.embedder = BagOfWords()
        engine.vectors.create_index(index_name="docs", dimension=BagOfWords.dimension)
        engine.vectors.upsert(index_name="docs", ids=["1"], documents=["weather"])
        engine.record_search.indexes_at_once = False
        notes = [{"external_id": "1", "data": {"text": "the dog is Bello"}}]
        engine.sync_records(name="Notes", connection_id="c", records=notes)
        engine.vectors.embedder = model = Waiting()

        async def read() -> int:
            assert await asyncio.to_thread(model.entered.wait, 20)
            try:
                return await engine.acount_records(entity_name="Notes", connection_id="c")
            finally:
                model.proceed.set()

        async def both() -> Any:
            return await asyncio.gather(call(engine), read())

        with registry.empty():
            index_records(entity="Notes", index="notes", text=lambda data: str(data["text"]))
            result, number = async_to_sync(both)()
        assert number == 1
        assert result

    def test_a_cancelled_call_releases_its_claim(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = BagOfWords()
        engine.record_search.indexes_at_once = False
        notes = [{"external_id": "1", "data": {"text": "the dog is Bello"}}]
        engine.sync_records(name="Notes", connection_id="c", records=notes)
        with registry.empty():
            index_records(entity="Notes", index="notes", text=lambda data: str(data["text"]))
            engine.prepare_indexes()
            engine.vectors.embedder = model = Waiting()

            async def cancel() -> None:
                indexing = asyncio.create_task(engine.aindex_pending())
                await asyncio.to_thread(model.entered.wait, 20)
                indexing.cancel()
                model.proceed.set()
                with pytest.raises(asyncio.CancelledError):
                    await indexing

            async_to_sync(cancel)()
            assert engine.index_pending() == 1  # and not 0, as beside another indexer

    def test_django_s_variable_allows_it(
        self, engine: MastraEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

        async def call() -> None:
            engine.get_entity()

        with pytest.raises(InvalidInput):  # and not CalledInEventLoop
            asyncio.run(call())
