"""Agent state in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from mastra_engine import engine
from mastra_engine.models import Embedding, StateItem
from tests.admin.conftest import list_of, page_of, view
from tests.admin.store import SECRET

NAMESPACES = [("ann",), ("ann", "a/b"), ("ann", "prefs"), ("anna",), ("bob",)]


@pytest.fixture
def items(db: None) -> None:
    for namespace in NAMESPACES:
        engine.state.put(namespace=namespace, key=f"key of {namespace[-1]}", value={"a": SECRET})
    engine.state.put(namespace=("ann",), key="deleted one", value={})
    engine.state.delete(namespace=("ann",), key="deleted one")


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("", NAMESPACES),
        ("ann", NAMESPACES[:3]),
        ("/ann/prefs/", NAMESPACES[2:3]),
        ('["ann", "a/b"]', NAMESPACES[1:2]),
        ("an", []),
        ("ann_", []),
        ("[1]", []),
    ],
)
def test_a_search_lists_the_items_below_a_namespace(
    owner: Client, items: None, term: str, expected: list[Any]
) -> None:
    text = owner.get(list_of(StateItem, q=term)).content.decode()
    listed = [space for space in NAMESPACES if f"key of {space[-1]}<" in text]
    assert listed == expected
    assert "deleted one" not in text


def test_the_value_is_hidden_from_onlookers(owner: Client, onlooker: Client, items: None) -> None:
    page = page_of(StateItem.objects.under("bob").get())
    assert SECRET in owner.get(page).content.decode()
    assert SECRET not in onlooker.get(page).content.decode()


def test_an_item_is_deleted_with_its_vector(owner: Client, items: None) -> None:
    engine.state.index_pending()
    item = StateItem.objects.under("bob").get()
    assert Embedding.objects.filter(vector_id=str(item.pk)).exists()
    address = view("stateitem_delete", item.pk)
    assert "its vector" in owner.get(address).content.decode()
    owner.post(address)
    assert engine.state.get(namespace=("bob",), key="key of bob") is None
    assert not Embedding.objects.filter(vector_id=str(item.pk)).exists()


def test_a_vector_leads_to_its_item(owner: Client, items: None) -> None:
    engine.state.index_pending()
    item = StateItem.objects.under("bob").get()
    vector = Embedding.objects.get(vector_id=str(item.pk))
    assert page_of(item) in owner.get(page_of(vector)).content.decode()


def test_the_page_of_a_resource_leads_to_its_state(owner: Client, items: None) -> None:
    text = owner.get(view("resources", resource_id="ann")).content.decode()
    assert "All state of this resource" in text
