"""The map of an index: its points, their colours and its cost."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from pgvector import Vector

from mastra_engine import engine
from mastra_engine.admin import map as admin_map
from mastra_engine.admin.projection import project
from mastra_engine.models import Embedding, VectorIndex
from mastra_engine.postgres import samples
from tests.admin.conftest import page_of
from tests.integration.queries import statements

pytestmark = pytest.mark.django_db
KINDS = ["cat", "dog", "fox"]


@pytest.fixture(autouse=True)
def _no_picture_is_kept() -> None:
    cache.clear()


@pytest.fixture
def address(db: None) -> str:
    """Return the address of the map of 300 vectors in three clusters, one per kind."""
    engine.vectors.create_index(index_name="animals", dimension=8)
    numbers = np.random.default_rng(1)
    heaps = np.eye(8)[np.arange(300) % 3] + numbers.normal(scale=0.05, size=(300, 8))
    engine.vectors.upsert(
        index_name="animals",
        vectors=heaps,
        ids=[f"animal {i}" for i in range(300)],
        documents=[f"The {KINDS[i % 3]} number {i}" for i in range(300)],
        metadata=[
            {"kind": KINDS[i % 3], "number": i, "tags": [i], "from": "a zoo", "model": None}
            for i in range(300)
        ],
    )
    return map_of("animals")


def map_of(index: str) -> str:
    return reverse("admin:mastra_engine_map", args=[VectorIndex.objects.get(name=index).pk])


def groups(answer: Any) -> dict[str, int]:
    return {group.label: len(group.points) for group in answer.context["groups"]}


def test_points_are_coloured_by_a_field_that_parts_them(owner: Client, address: str) -> None:
    answer = owner.get(address)
    assert groups(answer) == {"cat": 100, "dog": 100, "fox": 100}
    choices = [value for value, _ in answer.context["form"].fields["by"].choices]
    assert choices == ["kind", "@namespace"]  # what all have, each its own or in a list, parts none


def test_similar_vectors_are_close(owner: Client, address: str) -> None:
    means = [
        np.mean([point[:2] for point in group.points], axis=0)
        for group in owner.get(address).context["groups"]
    ]
    for group, mean in zip(owner.get(address).context["groups"], means, strict=True):
        own = max(np.hypot(*(np.array(point[:2]) - mean)) for point in group.points)
        others = min(np.hypot(*(other - mean)) for other in means if other is not mean)
        assert own < others / 2


def test_each_point_leads_to_its_vector(owner: Client, address: str) -> None:
    group = owner.get(address).context["groups"][0]
    *_, url, excerpt = group.points[0]
    row = Embedding.objects.get(document=excerpt)
    assert url == page_of(row)
    assert owner.get(url).status_code == 200


def test_only_the_most_frequent_values_have_their_own_colour(owner: Client, address: str) -> None:
    for row in Embedding.objects.all():
        number = row.metadata["number"]
        row.metadata = {"kind": f"kind {min(number, 20)}"}
        row.save()
    matches = groups(owner.get(address))
    assert list(matches.values()) == [280, 1, 1, 1, 1, 1, 1, 14]
    assert list(matches)[-1] == "others"


@pytest.mark.parametrize("by", ["nothing", "kind'; DROP TABLE x; --", "0", ""])
def test_an_unknown_field_is_that_by_default(owner: Client, address: str, by: str) -> None:
    assert groups(owner.get(address, {"by": by})) == {"cat": 100, "dog": 100, "fox": 100}


def test_a_field_may_be_called_by_a_number(owner: Client) -> None:
    engine.vectors.create_index(index_name="years", dimension=2)
    metadata = [{"2024": KINDS[i % 2]} for i in range(8)]
    engine.vectors.upsert(index_name="years", vectors=[[1, i] for i in range(8)], metadata=metadata)
    assert groups(owner.get(map_of("years"))) == {"cat": 4, "dog": 4}


def test_namespaces_are_colours_too(owner: Client, address: str) -> None:
    assert groups(owner.get(address, {"by": "@namespace"})) == {"(none)": 300}


def test_the_sample_is_bounded_and_from_all_over(
    owner: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_map, "POINTS", 60)
    matches = groups(owner.get(address))
    assert sum(matches.values()) == 60
    assert min(matches.values()) > 8
    monkeypatch.setattr(admin_map, "NUMBERS", 8 * 10)
    cache.clear()
    assert sum(groups(owner.get(address)).values()) == 10
    monkeypatch.undo()
    monkeypatch.setattr(samples, "PAGES", 3)
    cache.clear()
    assert 0 < sum(groups(owner.get(address)).values()) < 300


def test_the_cached_picture_has_no_content(owner: Client, address: str) -> None:
    first = len(statements(lambda: owner.get(address)))
    again = len(statements(lambda: owner.get(address)))
    assert again == first - 2
    engine.vectors.delete_vectors(index_name="animals", filter={"kind": "fox"})
    matches = owner.get(address)
    assert groups(matches) == {"cat": 100, "dog": 100}
    assert "fox" not in matches.content.decode()


def test_the_number_of_statements_is_that_of_any_index(owner: Client, address: str) -> None:
    engine.vectors.create_index(index_name="one", dimension=8)
    engine.vectors.upsert(index_name="one", vectors=np.ones((1, 8)))
    large, small = (
        len(statements(lambda page=page: owner.get(page))) for page in (address, map_of("one"))
    )
    assert large == small <= 8


def test_an_empty_index_says_so(owner: Client) -> None:
    engine.vectors.create_index(index_name="empty", dimension=2)
    assert "has no vectors" in owner.get(map_of("empty")).content.decode()


def test_without_numpy_it_says_what_to_install(
    owner: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    answer = owner.get(address)
    assert answer.status_code == 503
    assert "django-mastra-engine[admin]" in answer.content.decode()


def test_needs_the_permission_to_read_content(onlooker: Client, address: str) -> None:
    assert onlooker.get(address).status_code == 403


def test_an_unknown_index_is_not_found(owner: Client) -> None:
    for key in ("0", "x", "99999999999999999999"):
        assert owner.get(reverse("admin:mastra_engine_map", args=[key])).status_code == 404


# The projection


@pytest.mark.parametrize("shape", [(500, 40), (40, 500), (2, 3)])
def test_the_projection_keeps_the_largest_possible_variance(shape: tuple[int, int]) -> None:
    numbers = np.random.default_rng(0).normal(size=shape) * 0.9 ** np.arange(shape[1])
    strengths = np.linalg.svd(numbers - numbers.mean(axis=0), compute_uv=False)
    best = (strengths[:2] ** 2).sum() / (strengths**2).sum()
    matches = project([Vector(row) for row in numbers], unit=False)
    assert 0.99 * best < matches.variance <= best + 1e-6


@pytest.mark.parametrize("rows", [[[1.0, 2.0]], [[1.0], [2.0]], [[1.0, 1.0]] * 3])
def test_few_vectors_have_places_too(rows: list[list[float]]) -> None:
    matches = project([Vector(row) for row in rows], unit=False)
    assert len(matches.points) == len(rows)
    assert np.isfinite(matches.points).all()


def test_length_does_not_count_where_the_metric_ignores_it() -> None:
    rows = [Vector(row) for row in ([1, 0, 0], [5, 0, 0], [0, 1, 0])]
    same, longer, other = project(rows, unit=True).points
    assert same == pytest.approx(longer)
    assert same != pytest.approx(other)


def test_ids_of_rows_are_shown_by_name(owner: Client, address: str) -> None:
    entity = engine.create_entity(name="Animals", connection_id="zoo")
    unknown = "01a23286-c954-77ac-8df7-718a9333bf49"
    values = dict(zip(KINDS, [str(entity.id), unknown, "no UUID"], strict=True))
    for kind, value in values.items():
        rows = Embedding.objects.filter(metadata__kind=kind)
        assert rows.update(metadata={"@entity_id": value}) == 100
    by_entity = groups(owner.get(address, {"by": "@entity_id"}))
    assert by_entity == {"Animals of zoo": 100, unknown: 100, "no UUID": 100}
