"""Finding a vector index, and what a backend does with one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID

from pgvector import Vector

from mastra_engine.backends.base.vectors.search import VectorScope
from mastra_engine.exceptions import IndexNotFound, InvalidVector
from mastra_engine.types import Match, StoredVector, VectorIndex
from mastra_engine.validation.inputs import name
from mastra_engine.validation.vectors import IndexDefinition, VectorRow

T = TypeVar("T")

#: How often an index may be made anew between being found and being used, before others must wait.
REMAKES = 3


class IndexesContract(ABC):
    """The steps of which the methods of vectors are made."""

    #: `INDEXES` of the settings: definitions by name.
    declared: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    # What a backend implements. Each raises IndexNotFound when the index is gone by then.

    @abstractmethod
    def _get_or_create_index(self, wanted: IndexDefinition) -> IndexDefinition: ...

    @abstractmethod
    def _find_index(self, name: str) -> IndexDefinition | None: ...

    def _remembered_index(self, name: str) -> IndexDefinition | None:
        """Return an index as it was some time ago, if searches notice when it is another now."""
        return None

    @abstractmethod
    def _kept(self, name: str) -> AbstractContextManager[None]:
        """Let nobody else make or delete an index of this name while inside."""

    def _is_rolling_back(self) -> bool:
        """Say whether a transaction is under way that can only be rolled back."""
        return False

    @abstractmethod
    def _list_indexes(self) -> list[VectorIndex]: ...

    @abstractmethod
    def _describe(self, index: IndexDefinition) -> VectorIndex: ...

    @abstractmethod
    def _build(self, index: IndexDefinition) -> None: ...

    @abstractmethod
    def _drop_structure(self, index: IndexDefinition) -> None: ...

    @abstractmethod
    def _delete_index(self, index: IndexDefinition) -> None: ...

    @abstractmethod
    def _truncate(self, index: IndexDefinition) -> None: ...

    @abstractmethod
    def _put(
        self, index: IndexDefinition, namespace: str, rows: list[VectorRow], *, generated: bool
    ) -> None:
        """Store rows of distinct ids; `generated` says that the ids are new."""

    @abstractmethod
    def _change(
        self, index: IndexDefinition, namespace: str, id: str, changes: dict[str, Any]
    ) -> StoredVector | None:
        """Replace parts of a vector and return it; None where there is none of that id."""

    @abstractmethod
    def _delete(self, scope: VectorScope, ids: list[str] | None) -> int: ...

    @abstractmethod
    def _delete_parts(self, index: IndexDefinition, namespace: str, wholes: list[str]) -> None:
        """Delete the vectors whose id is one of these, a slash and whatever."""

    @abstractmethod
    def _delete_gone(self, scope: VectorScope, entity_id: UUID) -> None:
        """Delete the vectors in scope whose id begins with that of no live record of an entity."""

    @abstractmethod
    def _get(
        self, index: IndexDefinition, namespace: str, ids: list[str]
    ) -> list[StoredVector]: ...

    @abstractmethod
    def _nearest(
        self, scope: VectorScope, target: Vector, *, limit: int, ef_search: int, with_vector: bool
    ) -> list[Match]: ...

    @abstractmethod
    def _full_text(self, scope: VectorScope, query: str, limit: int) -> list[Match]:
        """Return documents that share a word with the query, best first."""

    # Finding an index

    def _on(self, index_name: str, work: Callable[[IndexDefinition], T]) -> T:
        return self._using(lambda: self._index(index_name), work)

    def _using(
        self,
        find: Callable[[], IndexDefinition],
        work: Callable[[IndexDefinition], T],
        *,
        first: IndexDefinition | None = None,
    ) -> T:
        """Do some work with an index; with the new one, where others have made it anew since.

        A vector may be wrong for the index that was found and right for the one there is.
        """
        index = first or find()
        for _ in range(REMAKES):
            try:
                return work(index)
            except (IndexNotFound, InvalidVector):
                used, index = index, find()
                if index == used:
                    raise
        # Whoever makes it anew without a pause would always be faster.
        with self._kept(index.name):
            return work(find())

    def _index(self, index_name: str) -> IndexDefinition:
        index = self._find_index(name(index_name, "/index_name"))
        if index is None:
            how = "; engine_migrate or create_declared_indexes() makes it"
            raise IndexNotFound(
                f"There is no index {index_name!r}{how if index_name in self.declared else ''}"
            )
        return index
