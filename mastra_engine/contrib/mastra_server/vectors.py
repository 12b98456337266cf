"""Views of vector indexes and their vectors. The engine's alias is the name of the vector store."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request

from mastra_engine.api.arguments import Arguments
from mastra_engine.api.vectors import vectors_in
from mastra_engine.api.views import route
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.conf import api_settings
from mastra_engine.contrib.mastra_server.vector_filters import engine_filter
from mastra_engine.contrib.mastra_server.views import MastraView, call
from mastra_engine.exceptions import NotFound, quoted
from mastra_engine.types import Match

#: The arguments of the engine that the fields of a body stand for; other fields are ignored.
_ARGUMENTS = {
    "indexName": "index_name",
    "dimension": "dimension",
    "metric": "metric",
    "vectors": "vectors",
    "metadata": "metadata",
    "ids": "ids",
    "queryVector": "query_vector",
    "topK": "top_k",
    "filter": "filter",
    "includeVector": "include_vector",
}


class StoreView(MastraView):
    """A view of the vector store in its URL."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the request, then raise NotFound for another vector store."""
        super().initial(request, *args, **kwargs)
        if kwargs["store"] != api_settings().engine:
            raise NotFound(f"Vector store {quoted(kwargs['store'])} does not exist")

    def arguments(self, takes: Arguments) -> dict[str, Any]:
        """Return the arguments of an engine's method in the body; raises InvalidInput."""
        arguments = {
            _ARGUMENTS[key]: value
            for key, value in self.body.items()
            if _ARGUMENTS.get(key) in takes.parameters and value is not None
        }
        takes.from_body(arguments, reserved=())
        fills = ("namespace",) if "namespace" in takes.parameters else ()
        return takes.completed(arguments, self, fills)


class StoresView(MastraView):
    @call("view_embedding")
    def get(self) -> Any:
        """List the vector stores, of which there is one."""
        alias = self.engine.alias
        return {"vectors": [{"id": alias, "name": alias, "type": type(self.engine).__name__}]}


class EmbeddersView(MastraView):
    @call("view_embedding")
    def get(self) -> Any:
        """List the embedders: that of the engine, if it has one."""
        embedder = self.engine.vectors.embedder
        return {"embedders": [] if embedder is None else [self._embedder(embedder)]}

    def _embedder(self, embedder: Any) -> dict[str, Any]:
        kind = type(embedder).__name__
        return {
            "id": f"mastra_engine/{kind}",
            "provider": "mastra_engine",
            "name": kind,
            "description": "The embedder of the engine, which embeds messages and records.",
            "dimensions": getattr(embedder, "dimension", None),
            "maxInputTokens": None,
        }


class IndexesView(StoreView):
    @call("view_vectorindex")
    def get(self, store: str) -> Any:
        """List the names of the vector indexes."""
        return [index.name for index in self.engine.vectors.list_indexes()]


class IndexView(StoreView):
    @call("view_vectorindex")
    def get(self, store: str, index_name: str) -> Any:
        """Describe a vector index."""
        index = self.engine.vectors.describe_index(index_name=index_name)
        return {"dimension": index.dimension, "count": index.count, "metric": index.metric}

    @call("delete_vectorindex")
    def delete(self, store: str, index_name: str) -> Any:
        """Delete a vector index with its vectors."""
        self.engine.vectors.delete_index(index_name=index_name)
        return {"success": True}


class CreateIndexView(StoreView):
    takes = Arguments(Vectors.create_index)

    @call("add_vectorindex", "view_vectorindex")
    def post(self, store: str) -> Any:
        """Create a vector index; an equal one that exists is kept."""
        self.engine.vectors.create_index(**self.arguments(self.takes))
        return {"success": True}


class UpsertView(StoreView):
    takes = Arguments(Vectors.upsert, without={"documents"})

    @call("add_embedding", "change_embedding")
    def post(self, store: str) -> Any:
        """Insert or replace vectors, in the user's namespace."""
        arguments = self.arguments(self.takes)
        vectors = vectors_in(self.engine, arguments["index_name"])
        return {"ids": vectors.upsert(**arguments)}


class QueryView(StoreView):
    takes = Arguments(Vectors.query, without={"namespace"})

    @call("view_embedding", searches=True)
    def post(self, store: str) -> Any:
        """Search the vectors closest to a vector, in the user's namespaces."""
        arguments = self.arguments(self.takes)
        vectors = vectors_in(self.engine, arguments["index_name"])
        if (filter := arguments.get("filter")) is not None:
            arguments["filter"] = engine_filter(filter)
        return [_match(match) for match in vectors.query(**arguments)]


def _match(match: Match) -> dict[str, Any]:
    result = {"id": match.id, "score": match.score, "metadata": match.metadata}
    if match.document is not None:
        result["document"] = match.document
    if match.vector is not None:
        result["vector"] = match.vector
    return result


urlpatterns = [
    route("vectors", StoresView, name="vectors"),
    route("embedders", EmbeddersView, name="embedders"),
    route("vector/<str:store>/indexes", IndexesView, name="indexes"),
    route("vector/<str:store>/indexes/<str:index_name>", IndexView, name="index"),
    route("vector/<str:store>/create-index", CreateIndexView, name="create-index"),
    route("vector/<str:store>/upsert", UpsertView, name="upsert"),
    route("vector/<str:store>/query", QueryView, name="query"),
]
