"""Views of vector indexes and of their vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mastra_engine.api.operations import Deleted, Example, operation
from mastra_engine.api.views import EngineView, route
from mastra_engine.backends.base import MastraEngine
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
    """Ids in the order of the request."""

    ids: list[str]


class IndexesView(EngineView):
    @operation(
        Vectors.list_indexes,
        "view_vectorindex",
        example=Example(answer={"items": [_INDEX], "next_cursor": None}),
    )
    def get(self) -> Page[VectorIndex]:
        """List the vector indexes.

        All are returned in one page, by name.
        """
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
    def post(self, **arguments: Any) -> VectorIndex:
        """Create a vector index.

        An index with the same definition is returned as it is. One with the same name and another
        definition is refused with 409.
        """
        return self.engine.vectors.create_index(**arguments)


class IndexView(EngineView):
    @operation(
        Vectors.describe_index,
        "view_vectorindex",
        example=Example(path=_DOCS, answer=_INDEX),
    )
    def get(self, **arguments: Any) -> VectorIndex:
        """Read a vector index.

        The response has its definition, the number of its vectors, its size and its status.
        """
        return self.engine.vectors.describe_index(**arguments)

    @operation(
        Vectors.delete_index,
        "delete_vectorindex",
        status=204,
        example=Example(path=_DOCS),
    )
    def delete(self, **arguments: Any) -> None:
        """Delete a vector index.

        Its vectors are deleted in all namespaces.
        """
        self.engine.vectors.delete_index(**arguments)


class BuildView(EngineView):
    @operation(
        Vectors.build_index,
        "change_vectorindex",
        repeatable=True,  # A key takes a transaction, and writers would wait for a build inside it.
        example=Example(path=_DOCS, answer=_INDEX),
    )
    def post(self, **arguments: Any) -> VectorIndex:
        """Build the search structure of an index.

        A structure that exists and is valid is not built again. Writers are not blocked.
        """
        return self.engine.vectors.build_index(**arguments)


class TruncateView(EngineView):
    @operation(
        Vectors.truncate_index,
        "change_vectorindex",
        "delete_embedding",
        all_owners=True,
        status=204,
        example=Example(path=_DOCS),
    )
    def post(self, **arguments: Any) -> None:
        """Delete all vectors of an index.

        The vectors of all namespaces are deleted; the index stays.
        """
        self.engine.vectors.truncate_index(**arguments)


def vectors_in(engine: MastraEngine, index_name: Any) -> Vectors:
    """Return the engine's vectors, but not those that it derives from other data.

    Raises IndexNotFound for an index of derived vectors.
    """
    derived = {declaration.index for declaration in registry.indexes.values()}
    if index_name in (engine.memory.index_name, engine.state.index.name, *derived):
        raise IndexNotFound(name=index_name)
    return engine.vectors


class ContentView(EngineView):
    """A view of the vectors in an index."""

    @property
    def vectors(self) -> Vectors:
        return vectors_in(self.engine, self.kwargs["index_name"])


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
    def post(self, **arguments: Any) -> Ids:
        """Insert or replace vectors.

        Either all vectors are stored or none. Without `vectors`, the `documents` are embedded.
        """
        return Ids(self.vectors.upsert(**arguments))


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
    def patch(self, **arguments: Any) -> StoredVector:
        """Change a stored vector.

        The parts that the request has are replaced. A new document without a vector is embedded if
        the server has an embedder.
        """
        return self.vectors.update_vector(**arguments)


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
    def post(self, **arguments: Any) -> Page[StoredVector]:
        """Read vectors by their ids.

        They are returned in the order of the ids. Unknown ids are left out.
        """
        return Page(self.vectors.get_vectors(**arguments))


class DeleteVectorsView(ContentView):
    @operation(
        Vectors.delete_vectors,
        "delete_embedding",
        fills=("namespace",),
        example=Example(path=_DOCS, body={"filter": {"lang": "de"}}, answer={"deleted": 1}),
    )
    def post(self, **arguments: Any) -> Deleted:
        """Delete vectors.

        They are selected by their ids, or by a filter of their metadata.
        """
        return Deleted(self.vectors.delete_vectors(**arguments))


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
                        "similarity": 0.98,
                        "lexical": 0.0,
                        "explanation": None,
                    }
                ],
                "next_cursor": None,
            },
        ),
    )
    def post(self, **arguments: Any) -> Page[Match]:
        """Search vectors.

        The vectors closest to a vector or to a text are returned, best first; with `hybrid`, those
        that share words with the text, too. A filter does not make the response shorter than
        `top_k` if enough vectors match. `min_score` can make it empty.
        """
        return Page(self.vectors.query(**arguments))


urlpatterns = [
    route("indexes/", IndexesView, name="indexes"),
    route("indexes/<str:index_name>/", IndexView, name="index"),
    route("indexes/<str:index_name>/build/", BuildView, name="index-build"),
    route("indexes/<str:index_name>/truncate/", TruncateView, name="index-truncate"),
    route("indexes/<str:index_name>/query/", SearchView, name="vectors-query"),
    route("indexes/<str:index_name>/vectors/", VectorsView, name="vectors"),
    route("indexes/<str:index_name>/vectors/read/", ReadVectorsView, name="vectors-read"),
    route("indexes/<str:index_name>/vectors/delete/", DeleteVectorsView, name="vectors-delete"),
    route("indexes/<str:index_name>/vectors/<str:id>/", VectorView, name="vector"),
]
