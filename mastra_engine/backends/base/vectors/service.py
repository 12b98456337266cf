"""The contract of vectors: indexes, storage and search."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from copy import copy
from typing import Any, Self

from asgiref.sync import sync_to_async
from pgvector import Vector

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.vectors.indexes import IndexesContract
from mastra_engine.backends.base.vectors.search import (
    VectorQuery,
    VectorScope,
    any_namespace,
    chosen_reranker,
    question,
)
from mastra_engine.embedders import embed_batches, embed_query
from mastra_engine.exceptions import IndexMismatch, InvalidInput, NotFound
from mastra_engine.filters.ast import ALL
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.protocols import Embedder, Reranks
from mastra_engine.retrieval.fusion import reciprocal_rank_fusion
from mastra_engine.retrieval.rerankers import Reranker
from mastra_engine.types import (
    UNSET,
    IndexType,
    Match,
    Metric,
    Storage,
    StoredVector,
    Unset,
    VectorIndex,
)
from mastra_engine.validation.inputs import name, names, narrowed
from mastra_engine.validation.vectors import (
    IndexDefinition,
    document_text,
    index_definition,
    matrix,
    metadata_json,
    namespace_name,
    vector_rows,
)
from mastra_engine.validation.vectors import vector as checked_vector


class VectorsContract(IndexesContract):
    """Vector indexes, reached as `engine.vectors`. Every method has an async variant."""

    embedder: Embedder | None = None
    #: What `reranker=True` stands for.
    reranker: Reranks = Reranker()
    #: The namespaces these vectors are confined to; None for all.
    namespaces: frozenset[str] | None = None

    def within(self, *, namespaces: Iterable[str]) -> Self:
        """Return these vectors confined to some namespaces: those of others are not there.

        Confined once more, they are to those of both. It says nothing of the indexes themselves,
        which are everybody's.
        """
        confined = copy(self)
        wanted = names(namespaces, "/namespaces", check=namespace_name)
        confined.namespaces = narrowed(self.namespaces, wanted)
        return confined

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

        def describe(stored: IndexDefinition) -> VectorIndex:
            if unlike := stored.unlike(wanted):
                raise IndexMismatch(
                    f"Index {wanted.name!r} has {unlike}; another definition needs another name"
                )
            return self._describe(stored)

        return self._using(lambda: self._get_or_create_index(wanted), describe)

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
        return self._on(index_name, self._describe)

    def build_index(self, *, index_name: str) -> VectorIndex:
        """Build the search structure where it is missing or invalid, without stopping writers.

        Inside `transaction.atomic()` it is built in that transaction, and writers wait.
        """

        def build(index: IndexDefinition) -> VectorIndex:
            self._build(index)
            return self._describe(index)

        return self._on(index_name, build)

    def delete_index(self, *, index_name: str) -> None:
        """Delete an index and its vectors; raises IndexNotFound."""
        self._on(index_name, self._delete_index)

    def truncate_index(self, *, index_name: str) -> None:
        """Delete all vectors of an index, in every namespace."""
        self._on(index_name, self._truncate)

    @contextmanager
    def bulk_load(self, *, index_name: str) -> Iterator[None]:
        """Load many vectors inside: the search structure is dropped, then built once.

        Meanwhile search is exact. It is built even when the loading fails.
        """
        self._on(index_name, self._drop_structure)
        try:
            yield
        finally:
            if not self._is_rolling_back():  # which brings back what was dropped
                self._on(index_name, self._build)

    @asynccontextmanager
    async def abulk_load(self, *, index_name: str) -> AsyncIterator[None]:
        """See bulk_load()."""
        loading = ExitStack()
        try:  # who is cancelled leaves the database's thread to drop it
            await sync_to_async(loading.enter_context)(self.bulk_load(index_name=index_name))
            yield
        finally:
            await sync_to_async(loading.close)()

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
        space = self._own_namespace(namespace)
        given = list(vectors) if isinstance(vectors, Iterator) else vectors

        def put(index: IndexDefinition) -> list[str]:
            checked = self._embedded(documents, index) if given is None else matrix(given, index)
            rows = vector_rows(checked, ids=ids, metadata=metadata, documents=documents)
            self._put(index, space, rows, generated=ids is None)
            return [row.id for row in rows] if ids is None else list(ids)

        return self._on(index_name, put)

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
        key, space = name(id, "/id"), self._own_namespace(namespace)
        changes: dict[str, Any] = {}
        if not isinstance(metadata, Unset):
            changes["metadata"] = metadata_json(metadata, "/metadata")
        if not isinstance(document, Unset):
            empty = document is None
            changes["document"] = None if empty else document_text(document, "/document")

        def change(index: IndexDefinition) -> StoredVector:
            if vector is not UNSET:
                changes["vector"] = checked_vector(vector, index, "/vector")
            elif isinstance(document, str) and self.embedder is not None:
                (changes["vector"],) = self._embedded([document], index)
            if not changes:
                raise InvalidInput("give a vector, metadata or a document", path="/vector")
            changed = self._change(index, space, key, changes)
            if changed is None:
                raise NotFound(f"The index has no vector {key!r}")
            return changed

        return self._on(index_name, change)

    def delete_vectors(
        self,
        *,
        index_name: str,
        ids: list[str] | None = None,
        filter: Any = None,
        namespace: str | None = "",
    ) -> int:
        """Delete vectors by id or by metadata and return how many; `namespace=None` means all."""
        where, spaces = parse_optional_filter(filter), self._reach(any_namespace(namespace))
        if (ids is None) == (filter is None) or (ids is None and where == ALL):
            raise InvalidInput("give ids or a filter that says something", path="/ids")
        keys = None if ids is None else names(ids, "/ids")

        def delete(index: IndexDefinition) -> int:
            return self._delete(VectorScope(index=index, where=where, namespaces=spaces), keys)

        return self._on(index_name, delete)

    # Reading

    def get_vectors(
        self, *, index_name: str, ids: list[str], namespace: str = ""
    ) -> list[StoredVector]:
        """Return stored vectors in the order of their ids; unknown ones are left out."""
        space, keys = self._own_namespace(namespace), names(ids, "/ids")
        return self._on(index_name, lambda index: self._get(index, space, keys))

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
        reranker: Reranks | bool | None = None,
        mmr: float | None = None,
    ) -> list[Match]:
        """Return the `top_k` closest vectors that satisfy the filter, closest first, ties by id.

        As many come back as there are, up to `top_k`: a filter never costs results. Scores are,
        for cosine 1 - distance, for euclidean 1 / (1 + distance), for dotproduct the product.
        `query_text` is embedded where no vector is given. `hybrid` adds full-text search and
        fuses both rankings, `mmr` (0 to 1, the weight of relevance) chooses different ones, and
        `reranker` reorders, the engine's own when True; after fusing or reranking the score is
        theirs. `min_score` is about the vector's score.
        """
        asked = question(
            query_vector=query_vector,
            query_text=query_text,
            top_k=top_k,
            filter=filter,
            namespace=namespace,
            min_score=min_score,
            include_vector=include_vector,
            ef_search=ef_search,
            hybrid=hybrid,
            reranker=chosen_reranker(reranker, self.reranker),
            mmr=mmr,
        )
        return self._using(
            lambda: self._index(index_name),
            lambda index: self._answer(asked, index),
            first=self._remembered_index(name(index_name, "/index_name")),
        )

    acreate_index = derive_async(create_index)
    acreate_declared_indexes = derive_async(create_declared_indexes)
    alist_indexes = derive_async(list_indexes)
    adescribe_index = derive_async(describe_index)
    abuild_index = derive_async(build_index)
    adelete_index = derive_async(delete_index)
    atruncate_index = derive_async(truncate_index)
    aupsert = derive_async(upsert)
    aupdate_vector = derive_async(update_vector)
    adelete_vectors = derive_async(delete_vectors)
    aget_vectors = derive_async(get_vectors)
    aquery = derive_async(query)

    # Steps

    def _answer(self, asked: VectorQuery, index: IndexDefinition) -> list[Match]:
        reach = self._reach(asked.namespace)
        scope = VectorScope(index=index, where=asked.where, namespaces=reach)
        found = self._nearest(
            scope,
            self._target(asked, index),
            limit=asked.candidates,
            ef_search=asked.breadth,
            with_vector=asked.with_vector,
        )
        if asked.min_score is not None:
            found = [match for match in found if match.score >= asked.min_score]
        if asked.hybrid and asked.text is not None:
            words = self._full_text(scope, asked.text, asked.candidates)
            found = reciprocal_rank_fusion(found, words)
        return asked.chosen(found)

    def _own_namespace(self, namespace: Any) -> str:
        """Return a namespace that is within reach; raises NotFound."""
        space = namespace_name(namespace)
        if self.namespaces is not None and space not in self.namespaces:
            raise NotFound(f"There is no namespace {space!r}")
        return space

    def _unconfined(self) -> Self:
        """Return these vectors without the namespaces they are confined to."""
        if self.namespaces is None:
            return self
        everywhere = copy(self)
        everywhere.namespaces = None
        return everywhere

    def _reach(self, namespace: str | None) -> frozenset[str] | None:
        """Return the namespaces that one stands for; None stands for all within reach."""
        if namespace is None:
            return self.namespaces
        return frozenset([self._own_namespace(namespace)])

    def _target(self, asked: VectorQuery, index: IndexDefinition) -> Vector:
        given = asked.vector
        if given is None and asked.text is not None:
            embedder = self._need_embedder("/query_text")
            given = embed_query(embedder, asked.text, dimension=index.dimension)
        return checked_vector(given, index, "/query_vector")

    def _embedded(self, documents: Any, index: IndexDefinition) -> list[Vector]:
        """Embed documents, some at a time; only what the index will store of it is kept."""
        if not isinstance(documents, list | tuple):
            raise InvalidInput("give vectors, or a list of documents to embed", path="/documents")
        texts = [document_text(document, f"/documents/{i}") for i, document in enumerate(documents)]
        embedder = self._need_embedder("/documents")
        vectors: list[Vector] = []
        for batch in embed_batches(embedder, texts, dimension=index.dimension):
            vectors += matrix(batch, index, "/documents", first=len(vectors))
        return vectors

    def _need_embedder(self, path: str) -> Embedder:
        """Return the embedder; raises InvalidInput about `path` when there is none."""
        if self.embedder is None:
            raise InvalidInput("is to be embedded, but the engine has no EMBEDDER", path=path)
        return self.embedder
