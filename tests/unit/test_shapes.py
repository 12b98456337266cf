"""The observed shape of records: true of each of them, and of an order of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mastra_engine import MockMastraEngine
from mastra_engine.devstack.shapes import MOST_KEYS, MOST_LEVELS, infer, record_shapes
from mastra_engine.exceptions import EntityNotFound, InvalidInput
from mastra_engine.testing.hostile import DOCUMENTS, nested
from tests.property import strategies

ANYTHING = {"type": "object", "additionalProperties": {}}


def properties(*documents: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = infer(documents)["properties"]
    return result


def fits(document: Any, shape: dict[str, Any]) -> bool:
    return Draft202012Validator(shape).is_valid(document)


def test_what_all_have_is_required() -> None:
    assert infer([{"id": 1, "name": "a"}, {"id": 2}]) == {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
        "required": ["id"],
    }


def test_types_are_united() -> None:
    assert properties({"a": 1}, {"a": None}) == {"a": {"type": ["integer", "null"]}}
    assert properties({"a": 1}, {"a": 1.5}) == {"a": {"type": "number"}}
    assert properties({"a": ["x"]}, {"a": [2]}) == {
        "a": {"type": "array", "items": {"type": ["integer", "string"]}}
    }


def test_what_nobody_has_seen_into_may_hold_anything() -> None:
    assert infer([]) == infer([{}]) == ANYTHING
    assert properties({"a": {}, "b": []}) == {"a": ANYTHING, "b": {"type": "array"}}


def test_an_object_of_many_keys_is_a_dictionary() -> None:
    prices = {f"sku-{number}": number for number in range(MOST_KEYS + 1)}
    assert properties({"prices": prices}) == {"prices": ANYTHING}


def test_where_generators_do_not_follow_anything_may_be() -> None:
    shape = infer([nested(64)])
    for _ in range(MOST_LEVELS):
        shape = shape["properties"]["a"]
    assert shape == {}
    assert properties({"%": 1, "a%": {"b": 1}}) == {"%": {"type": "integer"}, "a%": {}}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_document_fits_its_shape(document: Any) -> None:
    assert fits(document.value, infer([document.value]))


def test_what_is_of_another_shape_does_not_fit() -> None:
    assert not fits({"a": "1"}, infer([{"a": 1}]))
    assert not fits({}, infer([{"a": 1}]))


@given(
    st.lists(strategies.DOCUMENTS, max_size=4).flatmap(
        lambda some: st.tuples(st.just(some), st.permutations(some))
    )
)
def test_documents_fit_their_common_shape_in_any_order(orders: Any) -> None:
    some, shuffled = orders
    shape = infer(some)
    assert all(fits(document, shape) for document in some)
    assert json.dumps(infer(shuffled)) == json.dumps(shape)


# Samples


@pytest.fixture
def engine(mock_engine: MockMastraEngine) -> MockMastraEngine:
    """Three connections, two of which have contacts."""
    for connection, name, data in [
        ("a", "Contacts", [{"name": "Ann"}]),
        ("b", "Contacts", [{"name": None, "phone": 7}]),
        ("b", "Tickets", [{"open": True}]),
        ("c", "Empty", []),
    ]:
        records = [{"external_id": str(i), "data": item} for i, item in enumerate(data)]
        mock_engine.sync_records(name=name, connection_id=connection, records=records)
    return mock_engine


def test_entities_of_one_name_share_a_shape(engine: MockMastraEngine) -> None:
    shapes = record_shapes(engine)
    assert list(shapes) == ["Contacts", "Empty", "Tickets"]
    assert shapes["Contacts"] == infer([{"name": "Ann"}, {"name": None, "phone": 7}])
    assert shapes["Empty"] == ANYTHING


def test_only_what_was_named_is_looked_at(engine: MockMastraEngine) -> None:
    assert record_shapes(engine, connections=["a"]) == {"Contacts": infer([{"name": "Ann"}])}
    assert list(record_shapes(engine, connections=["a", "c"])) == ["Contacts", "Empty"]
    assert list(record_shapes(engine, names=["Tickets"])) == ["Tickets"]
    with pytest.raises(EntityNotFound, match='Entity "Ticket" does not exist'):
        record_shapes(engine, names=["Tickets", "Ticket"])


def test_a_sample_is_of_the_latest(engine: MockMastraEngine) -> None:
    for number in range(5):
        records = [{"external_id": f"{4 - number}", "data": {f"key {number}": 1}}]
        engine.sync_records(name="Orders", connection_id="a", records=records)
    shapes = record_shapes(engine, names=["Orders"], sample=2)
    assert list(shapes["Orders"]["properties"]) == ["key 3", "key 4"]


def test_a_sample_is_shared_among_connections(engine: MockMastraEngine) -> None:
    for connection in "abcd":
        records = [{"external_id": id, "data": {connection: 1}} for id in "12345"]
        engine.sync_records(name="Orders", connection_id=connection, records=records)
    shape = record_shapes(engine, names=["Orders"], sample=4)["Orders"]
    assert list(shape["properties"]) == ["a", "b", "c", "d"]
    shape = record_shapes(engine, names=["Orders"], sample=2)["Orders"]
    assert list(shape["properties"]) == ["a", "b"]
    with pytest.raises(InvalidInput, match="/sample"):
        record_shapes(engine, sample=0)


def test_all_entities_are_found_however_many(mock_engine: MockMastraEngine) -> None:
    for number in range(1_001):
        mock_engine.create_entity(name=f"{number:04}", connection_id="a")
    assert len(record_shapes(mock_engine)) == 1_001
