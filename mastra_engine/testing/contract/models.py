"""An embedder with another model is noticed, although its vectors have the same dimension."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import InvalidVector
from mastra_engine.registry import index_records, registry
from mastra_engine.testing.contract.recall import BagOfWords


class Model(BagOfWords):
    """An embedder that tells the name of its model."""

    def __init__(self, name: Any) -> None:
        self.model_name = name


class TestModels:
    @pytest.fixture(autouse=True)
    def _model(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = Model("one")

    def test_messages(self, engine: MastraEngine, caplog: pytest.LogCaptureFixture) -> None:
        memory, message = engine.memory, {"role": "user", "content": "my dog is Bello"}
        memory.save_memory(thread_id="chat", resource_id="ann", messages=[message])
        assert len(memory.recall(query="dog", thread_id="chat")) == 1
        engine.vectors.embedder = Model("two")
        memory.save_memory(thread_id="chat", messages=[message])
        assert memory.recall(query="dog", thread_id="chat") == []
        assert "model is 'two'" in caplog.messages[-1]
        assert "memory.reembed()" in caplog.messages[-1]
        for method in (memory.prepare_index, memory.embed_pending):
            with pytest.raises(InvalidVector, match=r"by 'one'; memory\.reembed\(\)"):
                method()
        assert memory.reembed() == 2
        assert len(memory.recall(query="dog", thread_id="chat")) == 2
        engine.vectors.embedder = Model("one")
        assert memory.recall(query="dog", thread_id="chat") == []

    def test_records(self, engine: MastraEngine) -> None:
        notes: dict[str, Any] = {"name": "Notes", "connection_id": "c"}
        search: dict[str, Any] = {"query": "dog", "connection_id": "c"}
        with registry.empty():
            index_records(entity="Notes", index="notes", text=lambda data: str(data["text"]))
            record = {"external_id": "1", "data": {"text": "the dog"}}
            engine.sync_records(**notes, records=[record])
            assert len(engine.search_records(**search)) == 1
            engine.vectors.embedder = Model("two")
            with pytest.raises(InvalidVector, match="by 'one'; declare another index") as caught:
                engine.search_records(**search)
            assert caught.value.path == "/query"
            engine.sync_records(**notes, records=[{**record, "external_id": "2"}])
            with pytest.raises(InvalidVector, match="by 'one'; declare another index"):
                engine.index_pending()
            engine.vectors.delete_index(index_name="notes")
            assert engine.index_pending() == 2
            assert len(engine.search_records(**search)) == 2

    def test_agent_state(self, engine: MastraEngine, caplog: pytest.LogCaptureFixture) -> None:
        search: dict[str, Any] = {"namespace_prefix": ("ann",), "query": "dog"}
        engine.state.put(namespace=("ann",), key="pet", value={"text": "the dog is Bello"})
        engine.state.index_pending()
        engine.vectors.embedder = Model("two")
        (match,) = engine.state.search(**search)
        assert match.similarity is None  # it is found by its words
        assert "state.reindex()" in caplog.text
        assert engine.state.reindex() == 1
        (match,) = engine.state.search(**search)
        assert match.similarity is not None

    @pytest.mark.parametrize("name", ["", None, 7, object()])
    def test_an_embedder_without_a_name_is_not_compared(
        self, engine: MastraEngine, name: Any
    ) -> None:
        message = {"role": "user", "content": "my dog is Bello"}
        engine.memory.save_memory(thread_id="chat", resource_id="ann", messages=[message])
        engine.vectors.embedder = Model(name)
        assert len(engine.memory.recall(query="dog", thread_id="chat")) == 1
