"""The service of vectors: indexes, storage and search."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from copy import copy
from functools import partial
from typing import Any, Self

from asgiref.sync import sync_to_async

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.event_loop import refuse_in_event_loop
from mastra_engine.backends.base.steps import Steps, in_steps
from mastra_engine.backends.base.vectors.candidates import ranked
from mastra_engine.backends.base.vectors.embedding import embed_batches
from mastra_engine.backends.base.vectors.indexes import IndexLookup
from mastra_engine.backends.base.vectors.search import (
    VectorQuery,
    VectorScope,
    optional_namespace,
    resolve_reranker,
    vector_query,
)
from mastra_engine.backends.base.vectors.store import VectorStore
from mastra_engine.exceptions import IndexMismatch, InvalidInput, NotFound, quoted
from mastra_engine.filters.ast import ALL
from mastra_engine.filters.cursors import decode, encode, fingerprint, page_of
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.protocols import Embedder, Reranks
from mastra_engine.retrieval.embedding import embed_query, require_embedder
from mastra_engine.types import (
    UNSET,
    IndexType,
    Match,
    Metric,
    Page,
    Storage,
    StoredVector,
    Unset,
    VectorIndex,
)
from mastra_engine.validation.inputs import count, name, names, narrowed
from mastra_engine.validation.jsonb import plain_text
from mastra_engine.validation.vectors import (
    AnyVector,
    IndexDefinition,
    document_text,
    index_definition,
    matrix,
    metadata_json,
    namespace_name,
    vector_rows,
)
from mastra_engine.validation.vectors import vector as checked_vector


@refuse_in_event_loop
class Vectors:
    """Vector indexes, reached as `engine.vectors`. Every method has an async variant.

    Other parts of the engine have validated their arguments; they use `indexes` to find an index
    and `store` to work with it.
    """

    #: The namespaces in scope; None for all of them.
    namespaces: frozenset[str] | None = None

    def __init__(
        self,
        store: VectorStore,
        *,
        embedder: Embedder | None = None,
        reranker: Reranks | None = None,
        declared: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.store = store
        self.embedder = embedder
        #: The reranker that `reranker=True` stands for; None for the built-in one.
        self.reranker = reranker
        self.indexes = IndexLookup(store, declared or {})

    @property
    def declared(self) -> Mapping[str, Mapping[str, Any]]:
        """The index definitions of the setting `INDEXES`, by name."""
        return self.indexes.declared

    @declared.setter
    def declared(self, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        self.indexes.declared = definitions

    def __repr__(self) -> str:
        plug_ins = " ".join(
            f"{name}={'None' if plug_in is None else type(plug_in).__name__}"
            for name, plug_in in (("embedder", self.embedder), ("reranker", self.reranker))
        )
        scope = "" if self.namespaces is None else f" namespaces={sorted(self.namespaces)!r}"
        return f"<{type(self).__name__} {plug_ins}{scope}>"

    def within(self, *, namespaces: Iterable[str]) -> Self:
        """Return these vectors with only some namespaces in scope; others do not exist there.

        Scopes combine: `within()` of a scoped object leaves the namespaces that are in both. The
        indexes themselves have no scope.
        """
        scoped = copy(self)
        requested = names(namespaces, "/namespaces", check=namespace_name)
        scoped.namespaces = narrowed(self.namespaces, requested)
        return scoped

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
        """Create an index and return it; return the existing one if its definition is the same.

        `language` is the text search configuration for hybrid search. Raises IndexMismatch if an
        index of this name has another definition, and InvalidInput for a definition that pgvector
        does not support.
        """
        definition = index_definition(
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
            if differences := stored.differences(definition):
                raise IndexMismatch(
                    f"Vector index {stored.name!r} has {differences}; choose another name, or "
                    "delete the index first"
                )
            return self.store.describe_index(stored)

        return self.indexes.use_found(lambda: self.store.get_or_create_index(definition), describe)

    def create_declared_indexes(self) -> list[VectorIndex]:
        """Create the indexes that the settings declare; raises IndexMismatch as create_index."""
        return [
            self.create_index(index_name=index_name, **definition)
            for index_name, definition in self.declared.items()
        ]

    def list_indexes(self) -> list[VectorIndex]:
        """Return all indexes, ordered by name."""
        return self.store.list_indexes()

    def describe_index(self, *, index_name: str) -> VectorIndex:
        """Return an index with its counts; raises IndexNotFound."""
        return self.indexes.use(index_name, self.store.describe_index)

    def build_index(self, *, index_name: str) -> VectorIndex:
        """Build the search structure if it is missing or invalid, while others can still write.

        Inside `transaction.atomic()` it is built in that transaction, and other writers wait.
        """

        def build(index: IndexDefinition) -> VectorIndex:
            self.store.build_index(index)
            return self.store.describe_index(index)

        return self.indexes.use(index_name, build)

    def delete_index(self, *, index_name: str) -> None:
        """Delete an index and its vectors; raises IndexNotFound."""
        self.indexes.use(index_name, self.store.delete_index)

    def truncate_index(self, *, index_name: str) -> None:
        """Delete all vectors of an index in the namespaces in scope; raises IndexNotFound."""
        self.indexes.use(index_name, partial(self.store.truncate_index, namespaces=self.namespaces))

    @contextmanager
    def bulk_load(self, *, index_name: str) -> Iterator[None]:
        """Drop the search structure, and build it once when the block has loaded its vectors.

        Searches are exact inside the block. The structure is built even if the block fails.
        """
        self.indexes.use(index_name, self.store.drop_structure)
        try:
            yield
        finally:
            if not self.store.is_rolling_back():  # a rollback restores the structure
                self.indexes.use(index_name, self.store.build_index)

    @asynccontextmanager
    async def abulk_load(self, *, index_name: str) -> AsyncIterator[None]:
        """See bulk_load()."""
        loading = ExitStack()
        try:  # a task that is cancelled here leaves the database thread to drop the structure
            await sync_to_async(
                lambda: loading.enter_context(self.bulk_load(index_name=index_name))
            )()
            yield
        finally:
            await sync_to_async(loading.close)()

    # Writing

    @in_steps
    def upsert(
        self,
        *,
        index_name: str,
        vectors: Any = None,
        ids: list[str] | None = None,
        metadata: list[dict[str, Any]] | None = None,
        documents: list[str] | None = None,
        namespace: str = "",
    ) -> Steps[list[str]]:
        """Insert or replace vectors, all or none, and return their ids.

        `vectors` is a list of lists or a two-dimensional NumPy array with one vector per row.
        Without it, `documents` are embedded before any row is locked. Ids are generated unless
        they are passed; if an id occurs several times, its last vector is stored.

        Raises IndexNotFound, and InvalidVector and InvalidInput that name the place.
        """
        space = self._own_namespace(namespace)
        # Another attempt, with an index that has replaced this one, reads the vectors again.
        numbers = list(vectors) if isinstance(vectors, Iterator) else vectors
        index = None
        if numbers is None:
            index = self.indexes.require(index_name)
            numbers = yield from self._embedded(documents, index)

        def put(index: IndexDefinition) -> list[str]:
            checked = matrix(numbers, index)
            rows = vector_rows(checked, ids=ids, metadata=metadata, documents=documents)
            self.store.put(index, space, rows, generated=ids is None)
            return [row.id for row in rows] if ids is None else [plain_text(id) for id in ids]

        return self.indexes.use(index_name, put, first=index)

    @in_steps
    def update_vector(
        self,
        *,
        index_name: str,
        id: str,
        vector: Any = UNSET,
        metadata: dict[str, Any] | Unset = UNSET,
        document: str | Unset | None = UNSET,
        namespace: str = "",
    ) -> Steps[StoredVector]:
        """Replace parts of a stored vector and return it; raises NotFound.

        A new document without a vector is embedded if the engine has an embedder.
        """
        key, space = name(id, "/id"), self._own_namespace(namespace)
        changes: dict[str, Any] = {}
        if not isinstance(metadata, Unset):
            changes["metadata"] = metadata_json(metadata, "/metadata")
        if not isinstance(document, Unset):
            empty = document is None
            changes["document"] = None if empty else document_text(document, "/document")
        index = None
        if vector is UNSET and changes.get("document") is not None and self.embedder is not None:
            index = self.indexes.require(index_name)
            (vector,) = yield from self._embedded([changes["document"]], index)

        def change(index: IndexDefinition) -> StoredVector:
            if vector is not UNSET:
                changes["vector"] = checked_vector(vector, index, "/vector")
            if not changes:
                raise InvalidInput("vector, metadata or document is required", path="/vector")
            changed = self.store.change(index, space, key, changes)
            if changed is None:
                raise NotFound(
                    f"Vector {quoted(key)} does not exist in namespace {quoted(space)} of vector "
                    f"index {quoted(index.name)}"
                )
            return changed

        return self.indexes.use(index_name, change, first=index)

    def delete_vectors(
        self,
        *,
        index_name: str,
        ids: list[str] | None = None,
        filter: Any = None,
        namespace: str | None = "",
    ) -> int:
        """Delete vectors by id or by metadata and return their number.

        `namespace=None` stands for all namespaces in scope. An empty filter raises InvalidInput;
        truncate_index() deletes all vectors.
        """
        where, spaces = parse_optional_filter(filter), self._in_scope(optional_namespace(namespace))
        if (ids is None) == (filter is None) or (ids is None and where == ALL):
            message = "either ids or a filter with a condition is required"
            raise InvalidInput(message, path="/ids")
        keys = None if ids is None else names(ids, "/ids")

        def delete(index: IndexDefinition) -> int:
            return self.store.delete(VectorScope(index=index, where=where, namespaces=spaces), keys)

        return self.indexes.use(index_name, delete)

    # Reading

    def get_vectors(
        self, *, index_name: str, ids: list[str], namespace: str = ""
    ) -> list[StoredVector]:
        """Return stored vectors in the order of their ids, without those that do not exist."""
        space, keys = self._own_namespace(namespace), names(ids, "/ids")
        return self.indexes.use(index_name, lambda index: self.store.get(index, space, keys))

    def list_vectors(
        self,
        *,
        index_name: str,
        filter: Any = None,
        namespace: str | None = "",
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[StoredVector]:
        """Return a page of the vectors that satisfy a filter, ordered by namespace, then id.

        `namespace=None` stands for all namespaces in scope. Raises IndexNotFound.
        """
        where, spaces = parse_optional_filter(filter), self._in_scope(optional_namespace(namespace))
        size, query = count(limit, "/limit"), fingerprint("vectors", index_name, where, namespace)
        after = ("", "") if cursor is None else tuple(decode(cursor, query, str, str))

        def page(index: IndexDefinition) -> Page[StoredVector]:
            scope = VectorScope(index=index, where=where, namespaces=spaces)
            rows = self.store.list_vectors(scope, after=after, limit=size + 1)
            return page_of(rows, size, lambda row: encode(query, row.namespace, row.id))

        return self.indexes.use(index_name, page)

    def count_vectors(
        self, *, index_name: str, filter: Any = None, namespace: str | None = ""
    ) -> int:
        """Return the number of vectors that satisfy a filter; raises IndexNotFound.

        `namespace=None` stands for all namespaces in scope.
        """
        where, spaces = parse_optional_filter(filter), self._in_scope(optional_namespace(namespace))
        return self.indexes.use(
            index_name,
            lambda index: self.store.count_vectors(
                VectorScope(index=index, where=where, namespaces=spaces)
            ),
        )

    @in_steps
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
        hybrid: bool | float = False,
        reranker: Reranks | bool | None = None,
        mmr: float | None = None,
        explain: bool = False,
    ) -> Steps[list[Match]]:
        """Return the `top_k` closest vectors that satisfy the filter, closest first, ties by id.

        A filter does not reduce the number of results: `top_k` are returned if that many vectors
        satisfy it. The similarity is 1 - distance for cosine, 1 / (1 + distance) for euclidean, and
        the product for dotproduct. `query_text` is embedded unless a vector is given, and has up
        to 100,000 characters.

        `hybrid` searches by words too, and orders by both; a number from 0 to 1 is the weight of
        the similarity, True is 0.6. `mmr` (0 to 1, the weight of relevance) prefers results that
        differ from one another. `reranker` orders them again; True is the engine's own, and the
        built-in one only without `hybrid`, since it compares words, too. The score is the one that
        orders the results. `min_score` is the least similarity of every result. `explain` adds the
        parts of the score.

        Raises IndexNotFound, InvalidFilter, InvalidVector and InvalidInput.
        """
        query = vector_query(
            query_vector=query_vector,
            query_text=query_text,
            top_k=top_k,
            filter=filter,
            namespace=namespace,
            min_score=min_score,
            include_vector=include_vector,
            ef_search=ef_search,
            hybrid=hybrid,
            reranker=resolve_reranker(reranker, self.reranker, hybrid=hybrid),
            mmr=mmr,
            explain=explain,
        )
        matches = yield from self._search(index_name, query)
        selected: list[Match] = yield partial(query.select, matches)
        return selected

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
    alist_vectors = derive_async(list_vectors)
    acount_vectors = derive_async(count_vectors)
    aquery = derive_async(query)

    # Steps

    def _search(self, index_name: Any, query: VectorQuery) -> Steps[list[Match]]:
        index = self.store.cached_index(name(index_name, "/index_name"))
        numbers = yield from self._query_vector(query, index or self.indexes.require(index_name))
        return self.indexes.use(
            index_name, lambda index: self._candidates(query, numbers, index), first=index
        )

    def _query_vector(self, query: VectorQuery, index: IndexDefinition) -> Steps[Any]:
        """Return the vector of a query, embedded unless it was given.

        It is None for a search by words alone without an embedder, and if the embedder knows no
        word of the text and returns zeros, which have no direction.
        """
        if query.vector is not None:
            return query.vector
        if self.embedder is None and query.hybrid == 0:
            if query.min_score is not None:
                raise InvalidInput("needs a query vector or an embedder", path="/min_score")
            return None
        embedder = require_embedder(self.embedder, "/query_text")
        vector = yield partial(embed_query, embedder, query.text or "", dimension=index.dimension)
        return vector if query.hybrid is None or any(vector) else None

    def _candidates(self, query: VectorQuery, numbers: Any, index: IndexDefinition) -> list[Match]:
        target = None if numbers is None else checked_vector(numbers, index, "/query_vector")
        spaces = self._in_scope(query.namespace)
        scope = VectorScope(index=index, where=query.where, namespaces=spaces)
        limit = query.candidates_in(index)
        candidates = self.store.find(scope, query, target, limit=limit)
        return ranked(candidates, query, most=query.most)

    def _own_namespace(self, namespace: Any) -> str:
        """Return a validated namespace; raises NotFound if it is out of scope."""
        space = namespace_name(namespace)
        if self.namespaces is not None and space not in self.namespaces:
            raise NotFound(f"Namespace {quoted(space)} does not exist")
        return space

    def _in_scope(self, namespace: str | None) -> frozenset[str] | None:
        """Return the namespaces that an argument stands for; None stands for all in scope."""
        if namespace is None:
            return self.namespaces
        return frozenset([self._own_namespace(namespace)])

    def _embedded(self, documents: Any, index: IndexDefinition) -> Steps[list[AnyVector]]:
        """Embed documents in batches, keeping only the numbers that the index stores."""
        if not isinstance(documents, list | tuple):
            message = "vectors, or a list of documents to embed, is required"
            raise InvalidInput(message, path="/documents")
        texts = [document_text(document, f"/documents/{i}") for i, document in enumerate(documents)]
        embedder = require_embedder(self.embedder, "/documents")

        def convert(batch: Any, first: int) -> list[AnyVector]:
            return matrix(batch, index, "/documents", first=first)

        return (yield from embed_batches(embedder, texts, convert, dimension=index.dimension))
