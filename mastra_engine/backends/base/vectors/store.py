"""The port that a backend implements to store vectors and their indexes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from mastra_engine.backends.base.vectors.candidates import Candidate
from mastra_engine.backends.base.vectors.search import VectorQuery, VectorScope
from mastra_engine.types import Match, StoredVector, VectorIndex
from mastra_engine.validation.vectors import AnyVector, IndexDefinition, VectorRow


class VectorStore(ABC):
    """Stores vector indexes and their vectors.

    `Vectors` calls it with validated arguments. A method that takes an IndexDefinition or a
    VectorScope raises IndexNotFound if that index has been deleted since.
    """

    # Indexes

    @abstractmethod
    def get_or_create_index(self, definition: IndexDefinition) -> IndexDefinition:
        """Return the stored index of the definition's name; create it if it does not exist."""

    @abstractmethod
    def find_index(self, name: str) -> IndexDefinition | None:
        """Return the current definition of an index, or None if it does not exist."""

    def cached_index(self, name: str) -> IndexDefinition | None:
        """Return a definition that may be out of date, or None if none is cached.

        A store may return one only if its `nearest` raises IndexNotFound when the index has been
        deleted or replaced since.
        """
        return None

    @abstractmethod
    def lock_index_name(self, name: str) -> AbstractContextManager[None]:
        """Prevent others from creating or deleting an index of this name until the block ends."""

    @abstractmethod
    def list_indexes(self) -> list[VectorIndex]:
        """Return all indexes, ordered by name."""

    @abstractmethod
    def describe_index(self, index: IndexDefinition) -> VectorIndex:
        """Return an index with its number of vectors, its size in bytes and its status."""

    @abstractmethod
    def build_index(self, index: IndexDefinition) -> None:
        """Build the search structure if it is missing or invalid."""

    @abstractmethod
    def drop_structure(self, index: IndexDefinition) -> None:
        """Drop the search structure; searches are exact until it is built again."""

    @abstractmethod
    def delete_index(self, index: IndexDefinition) -> None:
        """Delete an index with its vectors and its index progress."""

    @abstractmethod
    def truncate_index(self, index: IndexDefinition, *, namespaces: Collection[str] | None) -> None:
        """Delete the vectors of some namespaces, or of all, and their index progress.

        The progress of a namespace is that of the entities of the connection of the same name.
        """

    def is_rolling_back(self) -> bool:
        """Return whether the current transaction can only be rolled back."""
        return False

    # Rows

    @abstractmethod
    def put(
        self, index: IndexDefinition, namespace: str, rows: list[VectorRow], *, generated: bool
    ) -> None:
        """Insert or replace rows with distinct ids.

        `generated` says that the ids are new, so that the store need not look for old rows.
        """

    @abstractmethod
    def change(
        self, index: IndexDefinition, namespace: str, id: str, changes: dict[str, Any]
    ) -> StoredVector | None:
        """Replace parts of a vector and return it, or return None if the id does not exist.

        `changes` has one or more of the keys `vector`, `metadata` (canonical JSON) and `document`.
        """

    @abstractmethod
    def delete(self, scope: VectorScope, ids: list[str] | None) -> int:
        """Delete the vectors in scope, or only those of `ids`, and return their number."""

    @abstractmethod
    def delete_chunks(self, index: IndexDefinition, namespace: str, source_ids: list[str]) -> None:
        """Delete the vectors with an id of the form `source_id/suffix`."""

    @abstractmethod
    def delete_orphaned_chunks(self, scope: VectorScope, entity_id: UUID) -> None:
        """Delete the vectors in scope that no live record of the entity is the source of.

        The source is the part of the vector's id before the first slash, a record's `id`.
        """

    @abstractmethod
    def get(self, index: IndexDefinition, namespace: str, ids: list[str]) -> list[StoredVector]:
        """Return the vectors of these ids in the order of the ids, without unknown ids."""

    @abstractmethod
    def list_vectors(
        self, scope: VectorScope, *, after: tuple[str, str], limit: int
    ) -> list[StoredVector]:
        """Return up to `limit` vectors in scope, ordered by namespace, then id.

        They follow `after`, the namespace and id of a vector; two empty texts precede all.
        """

    @abstractmethod
    def count_vectors(self, scope: VectorScope) -> int:
        """Return the number of vectors in scope."""

    # Search

    @abstractmethod
    def nearest(
        self,
        scope: VectorScope,
        target: AnyVector,
        *,
        limit: int,
        ef_search: int,
        with_vector: bool,
    ) -> list[Match]:
        """Return up to `limit` vectors in scope by descending score, then id, then namespace."""

    def find(
        self, scope: VectorScope, query: VectorQuery, target: AnyVector | None, *, limit: int
    ) -> list[Candidate]:
        """Return the candidates of a search, by vectors alone unless it is hybrid."""
        if target is None and query.min_score is not None:
            return []  # nothing has a similarity
        if query.hybrid is not None:
            return self.hybrid(scope, query, target, limit=limit)
        if target is None:
            return []
        matches = self.nearest(
            scope,
            target,
            limit=limit,
            ef_search=query.effective_ef_search,
            with_vector=query.with_vector,
        )
        return [Candidate.of(match) for match in matches if query.admits(match.score)]

    @abstractmethod
    def hybrid(
        self, scope: VectorScope, query: VectorQuery, target: AnyVector | None, *, limit: int
    ) -> list[Candidate]:
        """Return candidates in scope, in any order, each with its similarity and its words.

        These are up to `limit` vectors that are nearest to the target, if there is one, and as many
        documents with the highest BM25 scores. Their collection are all documents in the namespaces
        of the scope, so that a word counts the same with and without a filter. All candidates have
        at least the similarity `query.min_score`.
        """

    @abstractmethod
    def compare(self, scope: VectorScope, target: AnyVector) -> list[Match]:
        """Return all vectors in scope, which are few, in any order, scored by similarity."""
