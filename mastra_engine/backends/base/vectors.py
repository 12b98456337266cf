"""The contract of vectors: indexes, storage and search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from asgiref.sync import sync_to_async
from pgvector import Vector

from mastra_engine.backends.base.twins import twin
from mastra_engine.embedders import embed_documents, embed_query
from mastra_engine.exceptions import IndexMismatch, IndexNotFound, InvalidInput, NotFound
from mastra_engine.filters import Node, parse_filter
from mastra_engine.fusion import maximal_marginal_relevance, reciprocal_rank_fusion
from mastra_engine.inputs import count, name, names, share, text
from mastra_engine.protocols import Embedder
from mastra_engine.types import (
    UNSET,
    IndexType,
    Match,
    Metric,
    RerankedMatch,
    Storage,
    StoredVector,
    Unset,
    VectorIndex,
)
from mastra_engine.vectorinputs import (
    IndexDefinition,
    VectorRow,
    index_definition,
    matrix,
    metadata_json,
    vector,
    vector_rows,
)

T = TypeVar("T")

#: How much of the graph a search looks at. Measured in docs/explanation/vectors.md.
EF_SEARCH = 100
MAX_EF_SEARCH = 1_000
#: How many more candidates than asked for are fused, diversified or reranked.
_CANDIDATES_PER_RESULT, _FEWEST_CANDIDATES = 4, 50


class Reranks(Protocol):
    """What `reranker=` takes: a `Reranker`, or anything with its method."""

    def rerank(self, results: list[Match], query: str, top_k: int = 3) -> list[RerankedMatch]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which vectors of an index a call is about; `namespace=None` means all of them."""

    index: IndexDefinition
    where: Node
    namespace: str | None


class VectorsContract(ABC):
    """Vector indexes, reached as `engine.vectors`. Every method has an async twin."""

    embedder: Embedder | None = None
    #: `INDEXES` of the settings: definitions by name.
    declared: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    # Indexes

    def create_index(
        self,
        *,
        index_name: str,
        dimension: int,
        metric: Metric = "cosine",
        index_type: IndexType = "hnsw",
        m: int = 16,
        ef_construction: int = 64,
        storage: Storage = "vector",
        language: str = "english",
    ) -> VectorIndex:
        """Create an index, or do nothing when there is one of the same definition.

        `language` is the text search configuration of hybrid search. Raises IndexMismatch for
        another definition, InvalidInput for what pgvector cannot index.
        """
        wanted = index_definition(
            index_name=index_name,
            dimension=dimension,
            metric=metric,
            index_type=index_type,
            m=m,
            ef_construction=ef_construction,
            storage=storage,
            language=language,
        )
        stored = self._get_or_create_index(wanted)
        if replace(stored, id=wanted.id) != wanted:
            raise IndexMismatch(f"{wanted.name!r} is {stored}")
        return self._describe(stored)

    def create_declared_indexes(self) -> list[VectorIndex]:
        """Create the indexes that the settings declare; raises IndexMismatch like create_index."""
        return [
            self.create_index(index_name=index_name, **definition)
            for index_name, definition in self.declared.items()
        ]

    def list_indexes(self) -> list[VectorIndex]:
        """Return all indexes by name."""
        return self._list_indexes()

    def describe_index(self, *, index_name: str) -> VectorIndex:
        """Return an index with its counts; raises IndexNotFound."""
        return self._describe(self._index(index_name))

    def build_index(self, *, index_name: str) -> VectorIndex:
        """Build the search structure where it is missing or invalid, without stopping writers.

        Inside `transaction.atomic()` it is built in that transaction, and writers wait.
        """
        index = self._index(index_name)
        self._build(index)
        return self._describe(index)

    def delete_index(self, *, index_name: str) -> None:
        """Delete an index and its vectors; raises IndexNotFound."""
        self._delete_index(self._index(index_name))

    def truncate_index(self, *, index_name: str) -> None:
        """Delete all vectors of an index, in every namespace."""
        self._truncate(self._index(index_name))

    @contextmanager
    def bulk_load(self, *, index_name: str) -> Iterator[None]:
        """Load many vectors inside: the search structure is dropped, then built once.

        Meanwhile search is exact. It is built even when the loading fails.
        """
        index = self._index(index_name)
        self._drop_structure(index)
        try:
            yield
        finally:
            self._build(index)

    @asynccontextmanager
    async def abulk_load(self, *, index_name: str) -> AsyncIterator[None]:
        """See bulk_load()."""
        loading = self.bulk_load(index_name=index_name)
        await sync_to_async(loading.__enter__)()
        try:
            yield
        finally:
            await sync_to_async(loading.__exit__)(None, None, None)

    # Writing

    def upsert(
        self,
        *,
        index_name: str,
        vectors: Any = None,
        ids: list[str] | None = None,
        metadata: list[dict[str, Any]] | None = None,
        documents: list[str] | None = None,
        namespace: str = "",
    ) -> list[str]:
        """Insert or replace vectors, all or none, and return their ids.

        `vectors` is a list of lists or a two-dimensional NumPy array, one row a vector; without
        it, `documents` are embedded, before anything is locked. Ids are made where none are
        given; of several with one id the last wins.

        Raises IndexNotFound, InvalidVector and InvalidInput that name the place.
        """
        index = self._index(index_name)
        space = text(namespace, "/namespace")
        if vectors is None:
            vectors = self._embedded(documents, index)
        rows = vector_rows(index, vectors=vectors, ids=ids, metadata=metadata, documents=documents)
        self._put(index, space, rows, generated=ids is None)
        return [row.id for row in rows] if ids is None else list(ids)

    def update_vector(
        self,
        *,
        index_name: str,
        id: str,
        vector: Any = UNSET,
        metadata: dict[str, Any] | Unset = UNSET,
        document: str | Unset | None = UNSET,
        namespace: str = "",
    ) -> StoredVector:
        """Replace parts of a stored vector; raises NotFound.

        A new document without a vector is embedded where there is an embedder.
        """
        index = self._index(index_name)
        if vector is UNSET and isinstance(document, str) and self.embedder is not None:
            (vector,) = self._embedded([document], index)
        changes: dict[str, Any] = {}
        if vector is not UNSET:
            (changes["vector"],) = matrix([vector], index, "/vector")
        if not isinstance(metadata, Unset):
            changes["metadata"] = metadata_json(metadata, "/metadata")
        if not isinstance(document, Unset):
            changes["document"] = None if document is None else text(document, "/document")
        if not changes:
            raise InvalidInput("give a vector, metadata or a document", path="/vector")
        key, space = name(id, "/id"), text(namespace, "/namespace")
        if not self._change(index, space, key, changes):
            raise NotFound(f"The index has no vector {key!r}")
        return self._get(index, space, [key])[0]

    def delete_vectors(
        self,
        *,
        index_name: str,
        ids: list[str] | None = None,
        filter: Any = None,
        namespace: str | None = "",
    ) -> int:
        """Delete vectors by id or by metadata and return how many; `namespace=None` means all."""
        index = self._index(index_name)
        if (ids is None) == (filter is None) or filter == {}:
            raise InvalidInput("give ids or a filter that says something", path="/ids")
        scope = self._scope(index, filter, namespace)
        return self._delete(scope, None if ids is None else names(ids, "/ids"))

    # Reading

    def get_vectors(
        self, *, index_name: str, ids: list[str], namespace: str = ""
    ) -> list[StoredVector]:
        """Return stored vectors in the order of their ids; unknown ones are left out."""
        index = self._index(index_name)
        return self._get(index, text(namespace, "/namespace"), names(ids, "/ids"))

    def query(
        self,
        *,
        index_name: str,
        query_vector: Any = None,
        query_text: str | None = None,
        top_k: int = 10,
        filter: Any = None,
        namespace: str | None = None,
        min_score: float | None = None,
        include_vector: bool = False,
        ef_search: int | None = None,
        hybrid: bool = False,
        reranker: Reranks | None = None,
        mmr: float | None = None,
    ) -> list[Match]:
        """Return the `top_k` closest vectors that satisfy the filter, closest first, ties by id.

        As many come back as there are, up to `top_k`: a filter never costs results. Scores are,
        for cosine 1 - distance, for euclidean 1 / (1 + distance), for dotproduct the product.
        `query_text` is embedded where no vector is given. `hybrid` adds full-text search and
        fuses both rankings, `mmr` (0 to 1, the weight of relevance) chooses different ones, and
        `reranker` reorders; after fusing or reranking the score is theirs. `min_score` is about
        the vector's score.
        """
        index = self._index(index_name)
        scope = self._scope(index, filter, namespace)
        limit = count(top_k, "/top_k", least=1)
        balance = None if mmr is None else share(mmr, "/mmr")
        target = self._target(index, query_vector, query_text)
        rescoring = hybrid or reranker is not None
        if rescoring and query_text is None:
            raise InvalidInput("is needed for hybrid search and for reranking", path="/query_text")
        wide = rescoring or balance is not None
        with_vector = include_vector or balance is not None
        candidates = max(_CANDIDATES_PER_RESULT * limit, _FEWEST_CANDIDATES) if wide else limit
        found = self._nearest(
            scope,
            target,
            limit=candidates,
            ef_search=_ef_search(ef_search, candidates),
            with_vector=with_vector,
        )
        if min_score is not None:
            found = [match for match in found if match.score >= min_score]
        if hybrid and query_text is not None:
            found = reciprocal_rank_fusion(found, self._full_text(scope, query_text, candidates))
        if balance is not None:
            found = maximal_marginal_relevance(found, top_k=candidates, relevance=balance)
        if reranker is not None and query_text is not None:
            reranked = reranker.rerank(found, query_text, top_k=limit)
            found = [replace(each.match, score=each.score) for each in reranked]
        found = found[:limit]
        if with_vector and not include_vector:
            return [replace(match, vector=None) for match in found]
        return found

    acreate_index = twin(create_index)
    acreate_declared_indexes = twin(create_declared_indexes)
    alist_indexes = twin(list_indexes)
    adescribe_index = twin(describe_index)
    abuild_index = twin(build_index)
    adelete_index = twin(delete_index)
    atruncate_index = twin(truncate_index)
    aupsert = twin(upsert)
    aupdate_vector = twin(update_vector)
    adelete_vectors = twin(delete_vectors)
    aget_vectors = twin(get_vectors)
    aquery = twin(query)

    # What a backend implements

    @abstractmethod
    def _get_or_create_index(self, wanted: IndexDefinition) -> IndexDefinition: ...

    @abstractmethod
    def _find_index(self, name: str) -> IndexDefinition | None: ...

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
    ) -> bool: ...

    @abstractmethod
    def _delete(self, scope: Scope, ids: list[str] | None) -> int: ...

    @abstractmethod
    def _get(
        self, index: IndexDefinition, namespace: str, ids: list[str]
    ) -> list[StoredVector]: ...

    @abstractmethod
    def _nearest(
        self, scope: Scope, target: Vector, *, limit: int, ef_search: int, with_vector: bool
    ) -> list[Match]: ...

    @abstractmethod
    def _full_text(self, scope: Scope, query: str, limit: int) -> list[Match]:
        """Return documents that share a word with the query, best first."""

    # Shared steps

    def _index(self, index_name: str) -> IndexDefinition:
        index = self._find_index(name(index_name, "/index_name"))
        if index is None:
            raise IndexNotFound(f"There is no index {index_name!r}")
        return index

    def _scope(self, index: IndexDefinition, filter: Any, namespace: str | None) -> Scope:
        space = None if namespace is None else text(namespace, "/namespace")
        where = parse_filter({} if filter is None else filter)
        return Scope(index=index, where=where, namespace=space)

    def _target(self, index: IndexDefinition, query_vector: Any, query_text: Any) -> Vector:
        question = None if query_text is None else text(query_text, "/query_text")
        if query_vector is None:
            if question is None:
                raise InvalidInput("give a query_vector or a query_text", path="/query_vector")
            query_vector = embed_query(
                self.need_embedder("/query_text"), question, dimension=index.dimension
            )
        return vector(query_vector, index, "/query_vector")

    def _embedded(self, documents: Any, index: IndexDefinition) -> Any:
        if not isinstance(documents, list | tuple):
            raise InvalidInput("give vectors, or a list of documents to embed", path="/documents")
        texts = [text(document, f"/documents/{i}") for i, document in enumerate(documents)]
        return embed_documents(self.need_embedder("/documents"), texts, dimension=index.dimension)

    def need_embedder(self, path: str) -> Embedder:
        """Return the embedder; raises InvalidInput about `path` when there is none."""
        if self.embedder is None:
            raise InvalidInput("is to be embedded, but the engine has no EMBEDDER", path=path)
        return self.embedder


def _ef_search(value: Any, limit: int) -> int:
    if value is None:
        return min(max(EF_SEARCH, limit), MAX_EF_SEARCH)
    return count(value, "/ef_search", least=1, most=MAX_EF_SEARCH)
