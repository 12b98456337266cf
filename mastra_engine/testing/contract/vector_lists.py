"""The contract of lists and counts of vectors."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import IndexNotFound, InvalidFilter, InvalidInput
from mastra_engine.filters.ast import Field, Substring
from mastra_engine.testing.contract.records import by_name
from mastra_engine.testing.contract.vectors import AXES, WithCompass
from mastra_engine.testing.hostile import UNFIT_FILTERS, Refused
from mastra_engine.types import Page

#: Ids in the order of their bytes in UTF-8.
IDS = ["10", "9", "B", "a", "b", "z ", "é", "𝄞"]


class TestVectorLists(WithCompass):
    def list_all(self, engine: MastraEngine, **options: Any) -> list[tuple[str, str]]:
        """Return the namespace and id of the vectors on all pages."""
        keys: list[tuple[str, str]] = []
        cursor = None
        while True:
            page = engine.vectors.list_vectors(index_name="compass", cursor=cursor, **options)
            keys += [(row.namespace, row.id) for row in page]
            cursor = page.next_cursor
            if cursor is None:
                return keys

    def test_vectors_are_listed_as_they_are_stored(
        self, engine: MastraEngine, compass: str
    ) -> None:
        page = engine.vectors.list_vectors(index_name=compass)
        assert page.items == engine.vectors.get_vectors(index_name=compass, ids=sorted(AXES))
        assert page.next_cursor is None

    @pytest.mark.parametrize("limit", [1, 2, 3, 8, 100])
    def test_pages_are_ordered_by_namespace_and_id(self, engine: MastraEngine, limit: int) -> None:
        engine.vectors.create_index(index_name="compass", dimension=1)
        for space in ("b", "", "a"):
            engine.vectors.upsert(
                index_name="compass", vectors=[[1]] * 8, ids=IDS[::-1], namespace=space
            )
        assert self.list_all(engine, limit=limit) == [("", id) for id in IDS]
        assert self.list_all(engine, limit=limit, namespace="b") == [("b", id) for id in IDS]
        assert self.list_all(engine, limit=limit, namespace=None) == [
            (space, id) for space in ("", "a", "b") for id in IDS
        ]

    def test_the_filter_is_that_of_searches(self, engine: MastraEngine, compass: str) -> None:
        for where, ids in (
            ({"letters": {"$lt": 5}}, ["east", "up", "west"]),
            ([{"field": "flat", "operator": "eq", "value": False}], ["up"]),
            ({}, sorted(AXES)),
            ({"letters": 7}, []),
        ):
            assert self.list_all(engine, filter=where, limit=2) == [("", id) for id in ids]
            number = engine.vectors.count_vectors(index_name=compass, filter=where)
            assert number == len(ids)

    @pytest.mark.parametrize("text", ["Way", "way", "", "w.y", "way " + "n" * 300])
    def test_a_parsed_filter_may_tell_case_apart(
        self, engine: MastraEngine, compass: str, text: str
    ) -> None:
        names = ["One Way", "two ways", "way " + "n" * 300, "w.y", ["way"], 7]
        engine.vectors.truncate_index(index_name=compass)
        engine.vectors.upsert(
            index_name=compass,
            vectors=[[1, 0, 0]] * len(names),
            ids=[str(number) for number in range(len(names))],
            metadata=[{"name": name} for name in names],
        )
        where = Substring(Field(("name",)), text, case_sensitive=True)
        assert self.list_all(engine, filter=where) == [
            ("", str(number))
            for number, name in enumerate(names)
            if isinstance(name, str) and text in name
        ]

    @by_name(UNFIT_FILTERS)
    def test_filters_that_say_nothing_are_refused(
        self, engine: MastraEngine, compass: str, hostile: Refused
    ) -> None:
        for call in (engine.vectors.list_vectors, engine.vectors.count_vectors):
            with pytest.raises(InvalidFilter) as caught:
                call(index_name=compass, filter=hostile.value)
            assert caught.value.path.startswith("/filter")

    def test_vectors_are_counted_by_namespace(self, engine: MastraEngine, compass: str) -> None:
        count = engine.vectors.count_vectors
        engine.vectors.upsert(index_name=compass, vectors=[[1, 0, 0]], namespace="space")
        assert count(index_name=compass) == 5
        assert count(index_name=compass, namespace="space") == 1
        assert count(index_name=compass, namespace="elsewhere") == 0
        assert count(index_name=compass, namespace=None) == 6

    def test_other_writes_do_not_move_pages(self, engine: MastraEngine, compass: str) -> None:
        first = engine.vectors.list_vectors(index_name=compass, limit=2)
        assert [row.id for row in first] == ["east", "north"]
        engine.vectors.delete_vectors(index_name=compass, ids=["east", "up"])
        engine.vectors.upsert(index_name=compass, vectors=[[1, 0, 0]] * 2, ids=["aft", "zenith"])
        rest = engine.vectors.list_vectors(index_name=compass, cursor=first.next_cursor)
        assert [row.id for row in rest] == ["northeast", "west", "zenith"]

    def test_a_limit_of_0_returns_nothing(self, engine: MastraEngine, compass: str) -> None:
        assert engine.vectors.list_vectors(index_name=compass, limit=0) == Page([])

    @pytest.mark.parametrize(
        ("arguments", "path"),
        [
            ({"limit": -1}, "/limit"),
            ({"limit": "2"}, "/limit"),
            ({"namespace": 7}, "/namespace"),
            ({"cursor": "x"}, "/cursor"),
            ({"cursor": 7}, "/cursor"),
        ],
    )
    def test_arguments_are_checked(
        self, engine: MastraEngine, compass: str, arguments: Any, path: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.vectors.list_vectors(index_name=compass, **arguments)
        assert caught.value.path == path

    def test_a_cursor_belongs_to_its_query(self, engine: MastraEngine, compass: str) -> None:
        self.fill(engine, "other")
        cursor = engine.vectors.list_vectors(index_name=compass, limit=2).next_cursor
        for other in (
            {"index_name": "other"},
            {"index_name": compass, "filter": {"flat": True}},
            {"index_name": compass, "namespace": None},
        ):
            with pytest.raises(InvalidInput) as caught:
                engine.vectors.list_vectors(**other, cursor=cursor)
            assert caught.value.path == "/cursor"

    def test_an_unknown_index_is_not_found(self, engine: MastraEngine) -> None:
        for call in (engine.vectors.list_vectors, engine.vectors.count_vectors):
            with pytest.raises(IndexNotFound):
                call(index_name="nowhere")
