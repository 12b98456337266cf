"""A vector index that the engine fills itself with the texts of one of its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from mastra_engine.backends.base.vectors.search import VectorScope
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import IndexNotFound, InvalidVector
from mastra_engine.filters.ast import ALL, Node
from mastra_engine.validation.vectors import IndexDefinition, matrix, vector_rows

T = TypeVar("T")


class OtherModel(InvalidVector):
    """The index holds vectors of another dimension than the embedder returns."""


class EngineVector(NamedTuple):
    """A vector of a text in the namespace of its resource; metadata may have the engine's keys."""

    id: str
    resource_id: str
    text: str
    metadata: Mapping[str, Any]
    numbers: Sequence[float]


class EngineIndex:
    """Finds, creates and fills a vector index that belongs to a service of the engine.

    The index is created for the first vectors, whose dimension it has. A vector is in the
    namespace of its resource. `remedy` tells how all texts are embedded again.
    """

    def __init__(self, vectors: Vectors, *, remedy: str) -> None:
        self._vectors = vectors
        self._remedy = remedy

    def require(
        self, name: str, dimension: int, path: str, *, cached: bool = True, **definition: Any
    ) -> IndexDefinition:
        """Return the index, created if it does not exist; raise OtherModel.

        The error is for an index of another dimension. A cached definition may be out of date.
        `definition` are further arguments of create_index().
        """
        index = self._vectors.store.cached_index(name) if cached else None
        if index is None or index.dimension != dimension:
            index = self._vectors.indexes.find(name)
        if index is None:
            self._vectors.create_index(index_name=name, dimension=dimension, **definition)
            return self._vectors.indexes.require(name)
        if index.dimension != dimension:
            raise OtherModel(
                f"the embedder returns {dimension} numbers, but the vectors of index {name!r} have "
                f"{index.dimension}; {self._remedy}",
                path=path,
            )
        return index

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
