"""Searches over HTTP: the weight of a hybrid search, and the least similarity."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict

from mastra_engine.api.arguments import Arguments
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.exceptions import InvalidInput
from tests.api.conftest import World
from tests.api.test_http import refusal

SEARCHES = {
    "/api/v1/recall/": {"query": "vegan", "thread_id": "chat-1", "message_range": [0, 0]},
    "/api/v1/search/": {"query": "Alice"},
    "/api/v1/indexes/docs/query/": {"query_text": "east", "query_vector": [1, 0.2, 0]},
}


@pytest.mark.parametrize("url", SEARCHES)
@pytest.mark.parametrize(
    ("hybrid", "of_vectors", "of_words"),
    [
        (0, 0, 1),
        (0.0, 0, 1),
        (0.3, 0.3, 0.7),
        (1, 1, 0),
        (1.0, 1, 0),
        (False, 1, None),
    ],
)
def test_a_number_is_a_weight_and_a_boolean_is_none(
    world: World, url: str, hybrid: Any, of_vectors: float, of_words: float | None
) -> None:
    body = {**SEARCHES[url], "hybrid": hybrid, "explain": True}
    first = world.ann.post(url, body, format="json").json()["items"][0]
    weights = {part["name"]: part["weight"] for part in first["explanation"]["parts"]}
    assert weights["similarity"] == of_vectors
    assert weights.get("lexical") == (None if of_words is None else pytest.approx(of_words))


@pytest.mark.parametrize("url", SEARCHES)
@pytest.mark.parametrize(
    ("hybrid", "message"),
    [
        ("true", "must be true or false, or a number"),
        ([0.3], "must be true or false, or a number"),
        (1.5, "must be a number between 0 and 1"),
        (-1, "must be a number between 0 and 1"),
        (2**70, "must be a number between 0 and 1"),
    ],
    ids=["text", "list", "above", "below", "huge"],
)
def test_another_weight_is_refused(world: World, url: str, hybrid: Any, message: str) -> None:
    answer = world.ann.post(url, {**SEARCHES[url], "hybrid": hybrid}, format="json")
    assert refusal(answer) == (400, "invalid_input", "/hybrid")
    assert message in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("url", SEARCHES)
def test_a_search_can_find_nothing(world: World, url: str) -> None:
    body = {**SEARCHES[url], "min_score": 1.5}
    assert world.ann.post(url, body, format="json").json()["items"] == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("false", False), ("0", 0.0), ("1", 1.0), ("0.3", 0.3)],
)
def test_a_boolean_or_a_number_in_a_url(text: str, value: bool | float) -> None:
    (hybrid,) = (
        Arguments(Memory.recall).from_query(QueryDict(f"hybrid={text}"), reserved=()).values()
    )
    assert (hybrid, type(hybrid)) == (value, type(value))


def test_neither_a_boolean_nor_a_number_in_a_url_is_refused() -> None:
    with pytest.raises(InvalidInput, match="true or false, or a number"):
        Arguments(Memory.recall).from_query(QueryDict("hybrid=some"), reserved=())
