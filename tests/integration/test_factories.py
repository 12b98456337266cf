"""The factories for tests write to either engine, and build input without one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from mastra_engine import MastraEngine
from mastra_engine.exceptions import Conflict
from mastra_engine.testing.factories import (
    EntityFactory,
    MessageFactory,
    RecordFactory,
    StateItemFactory,
    ThreadFactory,
    VectorFactory,
)
from mastra_engine.types import MessageInput, RecordInput

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["mock_engine", "postgres_engine"])
def store(request: pytest.FixtureRequest) -> MastraEngine:
    engine: MastraEngine = request.getfixturevalue(request.param)
    return engine


def test_entities(store: MastraEngine) -> None:
    entities = EntityFactory.create_batch(3, engine=store, connection_id="c")
    assert [entity.id for entity in store.list_entities()] == [entity.id for entity in entities]
    with pytest.raises(Conflict):
        EntityFactory.create(engine=store, connection_id="c", name=entities[0].name)


def test_records_and_tombstones(store: MastraEngine) -> None:
    entity = EntityFactory.create(engine=store)
    records = RecordFactory.create_batch(3, engine=store, entity=entity)
    (by_name,) = RecordFactory.create_batch(1, engine=store, entity=entity, data={"name": "Ann"})
    tombstones = RecordFactory.create_batch(2, engine=store, entity=entity, tombstone=True)
    assert by_name.data == {"name": "Ann"}
    assert all(record.deleted_at is None for record in records)
    assert all(record.deleted_at is not None for record in tombstones)
    page = store.get_records(entity_name=entity.name, connection_id=entity.connection_id)
    assert {record.id for record in page.items} == {record.id for record in [*records, by_name]}
    assert RecordFactory.create(engine=store, entity_name="Other").external_id


def test_items_of_state(store: MastraEngine) -> None:
    items = StateItemFactory.create_batch(3, engine=store, namespace=("ann", "prefs"))
    assert store.state.list_items(namespace_prefix=("ann",)).items == items
    item = StateItemFactory.create(engine=store, value={"a": 1}, expires_in=60)
    assert (item.value, item.expires_at is None) == ({"a": 1}, False)
    assert StateItemFactory.build(key="k")["key"] == "k"


def test_messages_and_tool_calls(store: MastraEngine) -> None:
    thread = ThreadFactory.create(engine=store)
    options: dict[str, Any] = {"engine": store, "thread": thread}
    messages = MessageFactory.create_batch(3, **options)
    call = MessageFactory.create(**options, tool_call=True, call_id="c1", arguments={"a": 1})
    result = MessageFactory.create(**options, tool_result=True, call_id="c1", content="2")
    assert [message.position for message in [*messages, call, result]] == [1, 2, 3, 4, 5]
    window = store.memory.get_context_window(thread_id=thread.id, format="openai").messages
    assert window[3]["tool_calls"][0]["function"] == {"name": "tool", "arguments": '{"a":1}'}
    assert window[4] == {"role": "tool", "tool_call_id": "c1", "content": "2"}
    assert MessageFactory.create(engine=store, thread_id="new").thread_id == "new"


def test_vectors(store: MastraEngine) -> None:
    vectors = VectorFactory.create_batch(3, engine=store, dimension=4, document="text")
    assert [len(vector.vector) for vector in vectors] == [4, 4, 4]
    other = VectorFactory.create(engine=store, dimension=4, namespace="n", metadata={"a": 1})
    assert (other.namespace, other.metadata) == ("n", {"a": 1})
    assert store.vectors.describe_index(index_name="vectors").count == 4


def test_empty_batches_write_nothing(store: MastraEngine) -> None:
    assert RecordFactory.create_batch(0, engine=store) == []
    assert store.list_entities().items == []


def test_building_writes_nothing_and_returns_input(store: MastraEngine) -> None:
    record: Any = RecordFactory.build(engine=store, data={"a": 1})
    message: Any = MessageFactory.build(engine=store, content="Hi")
    assert (type(record), record.data) == (RecordInput, {"a": 1})
    assert (type(message), message.content) == (MessageInput, "Hi")
    assert ThreadFactory.build(engine=store, title="T", thread_id="t") == {
        "thread_id": "t",
        "resource_id": "resource",
        "title": "T",
        "metadata": {},
    }
    assert store.list_entities().items == []


def test_the_other_test_helpers_do_not_need_factory_boy() -> None:
    code = (
        "import sys; sys.modules['factory'] = None\n"
        "import mastra_engine.testing.contract, mastra_engine.testing.hostile\n"
        "from mastra_engine.exceptions import EngineConfigError\n"
        "try:\n    import mastra_engine.testing.factories\n"
        "except EngineConfigError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "django-mastra-engine[testing]" in run.stdout
