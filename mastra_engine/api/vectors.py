"""Vector indexes, what is in them, and searching it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import path

from mastra_engine.api.operations import Deleted, Example, operation
from mastra_engine.api.views import EngineView
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.registry import registry
from mastra_engine.types import Match, Page, StoredVector, VectorIndex

_TIME = "2026-01-02T03:04:05Z"
_DOCS = {"index_name": "docs"}
_INDEX = {
    "name": "docs",
    "dimension": 3,
    "metric": "cosine",
    "index_type": "hnsw",
    "storage": "vector",
    "language": "english",
    "count": 2,
    "size_bytes": 24576,
    "status": "ready",
    "progress": None,
}
_EAST = {
    "id": "east",
    "vector": [1.0, 0.0, 0.0],
    "document": "the way east",
    "metadata": {"lang": "en"},
    "namespace": "7",
    "created_at": _TIME,
    "updated_at": _TIME,
}


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids, in the order of what was given."""

    ids: list[str]


class IndexesView(EngineView):
    @operation(
        Vectors.list_indexes,
        "view_vectorindex",
        example=Example(answer={"items": [_INDEX], "next_cursor": None}),
    )
    def get(self) -> Page[VectorIndex]:
        """List all indexes by name."""
        return Page(self.engine.vectors.list_indexes())

    @operation(
        Vectors.create_index,
        "add_vectorindex",
        status=201,
        example=Example(
            body={"index_name": "notes", "dimension": 3, "metric": "euclidean"},
            answer={**_INDEX, "name": "notes", "metric": "euclidean", "count": 0},
        ),
    )
    def post(self, **given: Any) -> VectorIndex:
        """Create an index, or do nothing when there is one of the same definition."""
        return self.engine.vectors.create_index(**given)


class IndexView(EngineView):
    @operation(
        Vectors.describe_index,
        "view_vectorindex",
        example=Example(path=_DOCS, answer=_INDEX),
    )
    def get(self, **given: Any) -> VectorIndex:
        """Describe an index, with its counts."""
        return self.engine.vectors.describe_index(**given)

    @operation(
        Vectors.delete_index,
        "delete_vectorindex",
        status=204,
        example=Example(path=_DOCS),
    )
    def delete(self, **given: Any) -> None:
        """Delete an index and its vectors."""
        self.engine.vectors.delete_index(**given)


class BuildView(EngineView):
    @operation(
        Vectors.build_index,
        "change_vectorindex",
        repeatable=True,  # and in a transaction, which a key takes, writers would wait for it
        example=Example(path=_DOCS, answer=_INDEX),
    )
    def post(self, **given: Any) -> VectorIndex:
        """Build the search structure where it is missing or invalid."""
        return self.engine.vectors.build_index(**given)


class TruncateView(EngineView):
    @operation(
        Vectors.truncate_index,
        "change_vectorindex",
        "delete_embedding",
        status=204,
        example=Example(path=_DOCS),
    )
    def post(self, **given: Any) -> None:
        """Delete all vectors of an index, everybody's."""
        self.engine.vectors.truncate_index(**given)


class ContentView(EngineView):
    """About the vectors of an index, unless the engine makes them of messages or records."""

    @property
    def vectors(self) -> Vectors:
        made_by_engine = {each.index for each in registry.indexes.values()}
        if self.kwargs["index_name"] in {self.engine.memory.index_name, *made_by_engine}:
            raise IndexNotFound
        return self.engine.vectors


class VectorsView(ContentView):
    @operation(
        Vectors.upsert,
        "add_embedding",
        "change_embedding",
        name="upsert_vectors",
        fills=("namespace",),
        example=Example(
            path=_DOCS,
            body={
                "ids": ["west"],
                "vectors": [[-1, 0, 0]],
                "documents": ["the way west"],
                "metadata": [{"lang": "en"}],
            },
            answer={"ids": ["west"]},
        ),
    )
    def post(self, **given: Any) -> Ids:
        """Insert or replace vectors, all or none; without `vectors`, `documents` are embedded."""
        return Ids(self.vectors.upsert(**given))


class VectorView(ContentView):
    @operation(
        Vectors.update_vector,
        "change_embedding",
        "view_embedding",
        fills=("namespace",),
        example=Example(
            path={**_DOCS, "id": "east"},
            body={"metadata": {"lang": "en", "seen": True}},
            answer={**_EAST, "metadata": {"lang": "en", "seen": True}},
        ),
    )
    def patch(self, **given: Any) -> StoredVector:
        """Replace parts of a stored vector."""
        return self.vectors.update_vector(**given)


class ReadVectorsView(ContentView):
    @operation(
        Vectors.get_vectors,
        "view_embedding",
        fills=("namespace",),
        example=Example(
            path=_DOCS,
            body={"ids": ["east", "unknown"]},
            answer={"items": [_EAST], "next_cursor": None},
        ),
    )
    def post(self, **given: Any) -> Page[StoredVector]:
        """Read vectors by their ids; unknown ones are left out."""
        return Page(self.vectors.get_vectors(**given))


class DeleteVectorsView(ContentView):
    @operation(
        Vectors.delete_vectors,
        "delete_embedding",
        fills=("namespace",),
        example=Example(path=_DOCS, body={"filter": {"lang": "de"}}, answer={"deleted": 1}),
    )
    def post(self, **given: Any) -> Deleted:
        """Delete vectors by id or by a filter of their metadata."""
        return Deleted(self.vectors.delete_vectors(**given))


class SearchView(ContentView):
    @operation(
        Vectors.query,
        "view_embedding",
        name="query_vectors",
        searches=True,
        example=Example(
            path=_DOCS,
            body={"query_vector": [1, 0.2, 0], "top_k": 1, "filter": {"lang": "en"}},
            answer={
                "items": [
                    {
                        "id": "east",
                        "score": 0.98,
                        "document": "the way east",
                        "metadata": {"lang": "en"},
                        "vector": None,
                        "namespace": "7",
                    }
                ],
                "next_cursor": None,
            },
        ),
    )
    def post(self, **given: Any) -> Page[Match]:
        """Find the closest vectors that satisfy a filter, by a vector, a text or both."""
        return Page(self.vectors.query(**given))


urlpatterns = [
    path("indexes/", IndexesView.as_view()),
    path("indexes/<str:index_name>/", IndexView.as_view()),
    path("indexes/<str:index_name>/build/", BuildView.as_view()),
    path("indexes/<str:index_name>/truncate/", TruncateView.as_view()),
    path("indexes/<str:index_name>/query/", SearchView.as_view()),
    path("indexes/<str:index_name>/vectors/", VectorsView.as_view()),
    path("indexes/<str:index_name>/vectors/read/", ReadVectorsView.as_view()),
    path("indexes/<str:index_name>/vectors/delete/", DeleteVectorsView.as_view()),
    path("indexes/<str:index_name>/vectors/<str:id>/", VectorView.as_view()),
]
