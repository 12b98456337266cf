"""Finding a vector index and using it while other processes may replace it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from mastra_engine.backends.base.vectors.store import VectorStore
from mastra_engine.exceptions import IndexNotFound, InvalidVector
from mastra_engine.validation.inputs import name
from mastra_engine.validation.vectors import IndexDefinition

T = TypeVar("T")

#: How often an index may be replaced while it is used, before its name is locked.
ATTEMPTS = 3


class IndexLookup:
    """Finds the indexes of one store by name."""

    def __init__(self, store: VectorStore, declared: Mapping[str, Mapping[str, Any]]) -> None:
        self.store = store
        #: `INDEXES` of the settings: definitions by name.
        self.declared = declared

    def find(self, index_name: str) -> IndexDefinition | None:
        """Return an index, or None if it does not exist. The name has been validated."""
        return self.store.find_index(index_name)

    def require(self, index_name: Any) -> IndexDefinition:
        """Return an index; raises IndexNotFound, and InvalidInput for an invalid name."""
        index = self.store.find_index(name(index_name, "/index_name"))
        if index is None:
            missing = IndexNotFound(name=index_name)
            if index_name in self.declared:
                remedy = "engine_migrate or create_declared_indexes() creates it"
                raise IndexNotFound(f"{missing}; {remedy}", name=index_name)
            raise missing
        return index

    def use(
        self,
        index_name: Any,
        work: Callable[[IndexDefinition], T],
        *,
        first: IndexDefinition | None = None,
    ) -> T:
        """Call `work` with an index and return its result; raises IndexNotFound.

        `work` is called again if another process replaces the index during the call. `first` is a
        definition of the index that may be out of date.
        """
        return self.use_found(lambda: self.require(index_name), work, first=first)

    def use_found(
        self,
        find: Callable[[], IndexDefinition],
        work: Callable[[IndexDefinition], T],
        *,
        first: IndexDefinition | None = None,
    ) -> T:
        """Call `work` with the index that `find` returns; with `first` before that, if given.

        A vector may not fit the index that was found first and fit the one that replaced it, so
        InvalidVector leads to another attempt as IndexNotFound does.
        """
        index = first or find()
        for _ in range(ATTEMPTS):
            try:
                return work(index)
            except (IndexNotFound, InvalidVector):
                previous, index = index, find()
                if index == previous:
                    raise
        # A process that replaces the index in a loop would win every race. Holding the lock on its
        # name makes it wait for this call.
        with self.store.lock_index_name(index.name):
            return work(find())
