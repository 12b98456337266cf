"""A vector index that the engine fills itself with the texts of one of its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from mastra_engine.backends.base.vectors.search import VectorScope
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import IndexNotFound, InvalidVector
from mastra_engine.filters.ast import ALL, Node
from mastra_engine.protocols import Embedder
from mastra_engine.retrieval.embedding import model_name
from mastra_engine.validation.vectors import (
    IndexDefinition,
    index_definition,
    matrix,
    vector_rows,
)

T = TypeVar("T")


class OtherModel(InvalidVector):
    """The index holds vectors of another model or dimension than those of the embedder."""


def check_model(
    index: IndexDefinition, embedder: Embedder | None, dimension: int, *, path: str, remedy: str
) -> None:
    """Raise OtherModel if vectors of an embedder cannot be compared with those of an index."""
    model = model_name(embedder)
    if index.dimension != dimension:
        difference = (
            f"the embedder returns {dimension} numbers, but the vectors of index {index.name!r} "
            f"have {index.dimension}"
        )
    elif not index.may_have(model):
        difference = (
            f"the embedder's model is {model!r}, but the vectors of index {index.name!r} are by "
            f"{index.model!r}"
        )
    else:
        return
    raise OtherModel(f"{difference}; {remedy}", path=path)


class EngineVector(NamedTuple):
    """A vector of a text in the namespace of its resource; metadata may have the engine's keys."""

    id: str
    resource_id: str
    text: str
    metadata: Mapping[str, Any]
    numbers: Sequence[float]


class EngineIndex:
    """Finds, creates and fills a vector index that belongs to a service of the engine.

    The index is created for the first vectors, with their dimension and model. A vector is in
    the namespace of its resource. `remedy` tells how all texts are embedded again.
    """

    def __init__(self, vectors: Vectors, *, remedy: str) -> None:
        self._vectors = vectors
        self._remedy = remedy

    def require(
        self, name: str, dimension: int, path: str, *, cached: bool = True, **definition: Any
    ) -> IndexDefinition:
        """Return the index, created if it does not exist; raise OtherModel.

        A cached definition may be out of date. `definition` are further arguments of
        create_index().
        """
        index = self._vectors.store.cached_index(name) if cached else None
        if index is None or not self.fits(index, dimension):
            index = self._vectors.indexes.find(name)
        if index is None:
            model = model_name(self._vectors.embedder)
            new = index_definition(index_name=name, dimension=dimension, model=model, **definition)
            self._vectors.store.get_or_create_index(new)
            index = self._vectors.indexes.require(name)  # a store may cache a found index
        self.check(index, dimension, path)
        return index

    def check(self, index: IndexDefinition, dimension: int, path: str) -> None:
        """Raise OtherModel if vectors of the embedder cannot be compared with those of an index."""
        embedder = self._vectors.embedder
        check_model(index, embedder, dimension, path=path, remedy=self._remedy)

    def fits(self, index: IndexDefinition, dimension: int) -> bool:
        """Return whether vectors of the embedder can be compared with those of an index."""
        model = model_name(self._vectors.embedder)
        return index.dimension == dimension and index.may_have(model)

    def use(
        self, name: str, dimension: int, work: Callable[[IndexDefinition], T], **definition: Any
    ) -> T:
        """Call `work` with the index of a dimension, and again if it was replaced meanwhile.

        The definition of the index may come from a cache.
        """
        index = self.require(name, dimension, "/embedder", **definition)
        try:
            return work(index)
        except (IndexNotFound, InvalidVector):
            current = self.require(name, dimension, "/embedder", cached=False, **definition)
            if current == index:
                raise
            return work(current)

    def put(self, index: IndexDefinition, vectors: Sequence[EngineVector]) -> None:
        """Store vectors, in the current transaction."""
        by_resource: dict[str, list[EngineVector]] = {}
        for vector in vectors:
            by_resource.setdefault(vector.resource_id, []).append(vector)
        for resource_id, own in by_resource.items():
            rows = vector_rows(
                matrix([vector.numbers for vector in own], index),
                ids=[vector.id for vector in own],
                documents=[vector.text for vector in own],
                metadata=[dict(vector.metadata) for vector in own],
                reserved=True,
            )
            self._vectors.store.put(index, resource_id, rows, generated=False)

    def delete(
        self,
        name: str,
        resource_ids: Sequence[str],
        where: Node = ALL,
        *,
        ids: list[str] | None = None,
    ) -> None:
        """Delete the vectors of resources that satisfy a filter, or only those of `ids`."""

        def delete(index: IndexDefinition) -> int:
            scope = VectorScope(index=index, where=where, namespaces=frozenset(resource_ids))
            return self._vectors.store.delete(scope, ids)

        with suppress(IndexNotFound):  # Nothing has been indexed yet.
            self._vectors.indexes.use(name, delete)

    def search(self, name: str, work: Callable[[IndexDefinition], T]) -> T:
        """Call `work` with the index; raise IndexNotFound if nothing has been indexed yet."""
        first = self._vectors.store.cached_index(name)
        return self._vectors.indexes.use(name, work, first=first)
