"""A synchronous call in a coroutine is refused, naming the method to use instead."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import CalledInEventLoop, EngineError, InvalidInput

CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("", "create_entity", {"name": "Contacts", "connection_id": "c"}),
    ("", "list_entities", {}),
    ("", "iter_records", {"entity_name": "Contacts", "connection_id": "c"}),
    ("memory", "create_thread", {"resource_id": "ann"}),
    ("memory", "export_thread", {"thread_id": "t"}),
    ("vectors", "list_indexes", {}),
    ("state", "get", {"namespace": ["ann"], "key": "k"}),
    ("vectors", "bulk_load", {"index_name": "docs"}),
]


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

    def test_django_s_variable_allows_it(
        self, engine: MastraEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

        async def call() -> None:
            engine.get_entity()

        with pytest.raises(InvalidInput):  # and not CalledInEventLoop
            asyncio.run(call())
