"""Records as a table: columns from the data, and filters by click."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from mastra_engine import engine
from mastra_engine.admin.conditions import conditions, narrowed, typed
from mastra_engine.admin.record_table import OFFERED, SHOWN, Table, observed_columns
from mastra_engine.filters.parsing import parse_filter
from mastra_engine.models import Entity
from mastra_engine.testing.hostile import DOCUMENTS
from tests.admin.conftest import page_of
from tests.admin.html import Page
from tests.integration.queries import explained, nodes_of

#: JSON objects as records hold them.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)


@pytest.fixture
def people(db: None) -> Entity:
    data: list[dict[str, Any]] = [
        {"name": f"P{i}", "age": 20 + i, "zip": f"0{i}", "at": {"city": "Bonn" if i % 2 else "Ulm"}}
        for i in range(6)
    ]
    data[5]["rare"] = {"deep": [1, 2]}
    records = [{"external_id": f"p{i}", "data": one} for i, one in enumerate(data)]
    return Entity.objects.get(
        id=engine.sync_records(name="People", connection_id="crm", records=records).entity.id
    )


def shown(
    client: Client, address: str, query: dict[str, Any] | None = None
) -> tuple[Page, set[str]]:
    """Return a page, and the external ids of its records."""
    answer = client.get(address, query)
    assert answer.status_code == 200
    text = answer.content.decode()
    page = Page(text)
    assert list(page.faults()) == []
    return page, set(re.findall(r"<bdi>(p\d)</bdi>", text))


def columns(client: Client, address: str, query: dict[str, Any] | None = None) -> list[str]:
    text = client.get(address, query).content.decode()
    return re.findall(r'<th scope="col"><bdi>(.*?)</bdi>', text)


def test_columns_are_the_fields_of_the_data(owner: Client, people: Entity) -> None:
    assert columns(owner, page_of(people)) == ["age", "name", "zip", "at.city", "rare.deep"]
    chosen = ["name", "at.city"]
    assert columns(owner, page_of(people), {"columns": chosen}) == chosen
    assert columns(owner, page_of(people), {"columns": ["none", "a..b", "@rev"]}) == ["none"]


def test_a_cell_leads_to_the_records_with_its_value(owner: Client, people: Entity) -> None:
    address = page_of(people)
    page, _ = shown(owner, address)
    links = [
        one.attributes["href"]
        for one in page.elements
        if one.attributes.get("class") == "me-narrow"
    ]
    assert len(links) == 4 * 6  # the array has none
    of_bonn = next(link for link in links if "Bonn" in link)
    page, ids = shown(owner, address + of_bonn)
    assert ids == {"p1", "p3", "p5"}
    again = next(
        one.attributes["href"]
        for one in page.elements
        if one.attributes.get("class") == "me-narrow" and "P3" in one.attributes["href"]
    )
    page, ids = shown(owner, address + again)
    assert ids == {"p3"}
    removing = [
        one.attributes["href"]
        for one in page.elements
        if one.attributes.get("aria-label", "").startswith("Remove")
    ]
    assert [shown(owner, address + link)[1] for link in removing] == [{"p3"}, {"p1", "p3", "p5"}]


@pytest.mark.parametrize(
    ("field", "operator", "value", "ids"),
    [
        ("age", "gte", "24", {"p4", "p5"}),
        ("zip", "eq", "03", {"p3"}),  # text, although it looks like a number
        ("name", "contains", "p2", {"p2"}),
        ("rare", "exists", "true", {"p5"}),
        ("at.city", "ne", "Ulm", {"p1", "p3", "p5"}),
        ("@external_id", "eq", "p1", {"p1"}),
        ("@rev", "gt", "0", {f"p{i}" for i in range(6)}),
    ],
)
@pytest.mark.parametrize(
    "before", ["", '{"age": {"$gt": 1}}', '[{"field": "age", "operator": "gt", "value": 1}]']
)
def test_a_condition_is_added_to_the_filter(
    owner: Client, people: Entity, field: str, operator: str, value: str, ids: set[str], before: str
) -> None:
    query = {"filter": before, "field": field, "operator": operator, "value": value}
    assert shown(owner, page_of(people), query)[1] == ids
    text = owner.get(page_of(people), query).content.decode()
    written = re.search(r"<textarea[^>]*>\s*(.*?)</textarea>", text, re.DOTALL)
    assert written
    _, same = shown(owner, page_of(people), {"filter": unescape(written[1])})
    assert same == ids


@pytest.mark.parametrize(
    "query",
    [
        {"field": "a..b", "operator": "eq", "value": "1"},
        {"field": "$where", "operator": "eq", "value": "1"},
        {"field": "age", "operator": "like", "value": "1"},
        {"field": "@rev", "operator": "eq", "value": "x"},
        {"field": "age", "operator": "exists", "value": "perhaps"},
        {"field": "age", "operator": "gt", "value": "{}"},
        {"field": "age", "operator": "eq", "value": "NaN"},
        {"filter": "[[1]]", "field": "age", "value": "1"},
        {"filter": "7", "field": "age", "value": "1"},
    ],
)
def test_a_wrong_condition_is_explained(
    owner: Client, people: Entity, query: dict[str, str]
) -> None:
    page, ids = shown(owner, page_of(people), query)
    assert any(one.attributes.get("class", "").startswith("errorlist") for one in page.elements)
    assert not ids


@pytest.mark.parametrize("document", [pytest.param(d.value, id=d.name) for d in DOCUMENTS])
def test_columns_of_any_document_can_be_shown_and_filtered(
    owner: Client, db: None, document: Any
) -> None:
    records = [{"external_id": "p1", "data": document}]
    engine.sync_records(name="Odd", connection_id="c", records=records)
    address = page_of(Entity.objects.get())
    page, ids = shown(owner, address)
    assert ids == {"p1"}
    for one in page.elements:
        if one.attributes.get("class") == "me-narrow":
            assert shown(owner, address + one.attributes["href"])[1] == {"p1"}, one


@given(st.lists(OBJECTS, max_size=4))
def test_observed_columns_are_fields_that_filters_can_name(documents: list[dict[str, Any]]) -> None:
    paths = observed_columns(documents)
    assert len(paths) == len(set(paths)) <= OFFERED
    for path in paths:
        parse_filter({path: 1})
    assert Table(QueryDict(), documents).columns == paths[:SHOWN]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), max_size=5), st.booleans())
def test_conditions_that_are_added_can_be_removed(
    added: list[tuple[str, int]], as_list: bool
) -> None:
    filters: Any = [] if as_list else {}
    for field, value in added:
        filters = narrowed(filters, field, "eq", value)
    parse_filter(filters)
    while rest := [one.rest for one in conditions(filters)]:
        filters = rest[0]
    assert filters in ([], {})


def test_text_is_taken_for_json_unless_the_field_has_text() -> None:
    assert typed("5", [1, 2]) == 5
    assert typed("5", ["1"]) == "5"
    assert typed("five", [1]) == "five"
    assert typed("[" * 9_000, []) == "[" * 9_000


def test_the_latest_records_are_read_by_an_index(owner: Client, people: Entity) -> None:
    many = [{"external_id": f"q{i}", "data": {"name": "Q"}} for i in range(3_000)]
    engine.upsert_records(entity_id=people.id, records=many)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE mastra_engine_record")
    for sort in ("@rev", "-@rev"):
        with explained("ORDER BY rev") as plans:
            owner.get(page_of(people), {"sort": sort})
        assert len(plans) >= 2
        for plan in plans:
            names = {node.get("Index Name") for node in nodes_of(plan)}
            assert "mastra_engine_record_rev" in names


def test_filters_are_shown_as_json(owner: Client, people: Entity) -> None:
    query = {"field": "name", "operator": "eq", "value": "</textarea><script>"}
    text = owner.get(page_of(people), query).content.decode()
    assert json.dumps({"name": "</textarea><script>"}) in unescape(text)
    assert "<script>" not in text.split("<textarea")[1].split("</textarea>")[0]
