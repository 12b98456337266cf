"""A Haystack document store over `engine.vectors`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import Any, ParamSpec, Self, TypeVar

from asgiref.sync import sync_to_async
from haystack import Document, default_from_dict, default_to_dict
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy

import mastra_engine
from mastra_engine import MastraEngine, engines
from mastra_engine.backends.base.paging import all_items
from mastra_engine.backends.base.scope import UNRESTRICTED
from mastra_engine.contrib.haystack import metadata
from mastra_engine.contrib.haystack.documents import document_of, in_order, merged, upserted
from mastra_engine.contrib.haystack.filters import parse_filters
from mastra_engine.exceptions import EngineConfigError, IndexNotFound
from mastra_engine.filters.ast import And, Equals, Exists, Field, Node
from mastra_engine.types import Metric, StoredVector

P = ParamSpec("P")
R = TypeVar("R")

Filters = dict[str, Any] | None
#: The condition that a vector is a document: others may have stored vectors there, too.
_IS_DOCUMENT = Exists(Field(("embedded",)))


def _database_thread(method: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return the async variant of a method, which runs it in Django's database thread."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return await sync_to_async(method)(*args, **kwargs)

    update_wrapper(call, method)
    call.__name__ = f"{method.__name__}_async"
    call.__doc__ = f"See {method.__name__}()."
    return call


class EngineDocumentStore:
    """Stores documents in one namespace of a vector index.

    The index is created with the first documents, unless it exists.
    """

    def __init__(
        self,
        *,
        index_name: str,
        dimension: int,
        namespace: str = "",
        metric: Metric = "cosine",
        engine: MastraEngine | None = None,
    ) -> None:
        self.index_name = index_name
        self.dimension = dimension
        self.namespace = namespace
        self.metric = metric
        self.engine = mastra_engine.engine if engine is None else engine

    def to_dict(self) -> dict[str, Any]:
        """Return the store as a dictionary, with the alias of its engine.

        Raises EngineConfigError if the engine is restricted by `within()`, since the dictionary
        would not be.
        """
        if self.engine.scope != UNRESTRICTED:
            raise EngineConfigError("A document store of a scoped engine cannot be serialized")
        serialized: dict[str, Any] = default_to_dict(
            self,
            index_name=self.index_name,
            dimension=self.dimension,
            namespace=self.namespace,
            metric=self.metric,
            engine=self.engine.alias,
        )
        return serialized

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the store of a dictionary; its engine is looked up by its alias."""
        parameters = dict(data["init_parameters"])
        parameters["engine"] = engines[parameters["engine"]]
        store: Self = default_from_dict(cls, {**data, "init_parameters": parameters})
        return store

    # Documents

    def count_documents(self) -> int:
        """Return the number of documents."""
        return self.count_documents_by_filter(None)

    def filter_documents(self, filters: Filters = None) -> list[Document]:
        """Return the documents that satisfy the filters, in the order of their first writing."""
        return list(map(document_of, in_order(self._rows(filters))))

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Write documents, all or none, and return their number.

        The policy NONE stands for FAIL: raise DuplicateDocumentError if an id exists or comes
        twice. With SKIP, the first document of an id is kept, with OVERWRITE the last.
        """
        unique = _unique(documents, policy)
        if policy is not DuplicatePolicy.OVERWRITE:
            existing = self._existing(unique)
            if existing and policy is not DuplicatePolicy.SKIP:
                raise DuplicateDocumentError(f"ID '{existing.pop()}' already exists.")
            unique = [document for document in unique if document.id not in existing]
        if unique:
            self._upsert(upserted(unique, self.dimension))
        return len(documents if policy is DuplicatePolicy.OVERWRITE else unique)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete the documents of these ids; unknown ids are ignored."""
        self._delete(ids=list(document_ids))

    def delete_all_documents(self) -> None:
        """Delete all documents."""
        self.delete_by_filter(None)

    def delete_by_filter(self, filters: Filters) -> int:
        """Delete the documents that satisfy the filters, and return their number."""
        return self._delete(filter=_documents(filters))

    def update_by_filter(self, filters: Filters, meta: dict[str, Any]) -> int:
        """Merge metadata into that of the documents that satisfy the filters; return their number.

        A change that another process makes to a document between the two is lost.
        """
        rows = self._rows(filters)
        if rows:
            self._upsert(merged(rows, meta))
        return len(rows)

    # Metadata

    def count_documents_by_filter(self, filters: Filters) -> int:
        """Return the number of documents that satisfy the filters."""
        try:
            return self.engine.vectors.count_vectors(**self._place(), filter=_documents(filters))
        except IndexNotFound:
            return 0

    def count_unique_metadata_by_filter(
        self, filters: Filters, metadata_fields: list[str]
    ) -> dict[str, int]:
        """Return the number of different values of each field, among the filtered documents."""
        return metadata.count_unique(self._metadata(filters), metadata_fields)

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """Return the type of each field: `keyword`, `int`, `float` or `boolean`."""
        return metadata.fields_info(self._metadata(None))

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """Return the smallest and the largest value of a field, as `min` and `max`."""
        return metadata.min_max(self._metadata(None), metadata_field)

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: Filters = None,
    ) -> tuple[list[Any], int]:
        """Return a page of the different values of a field, and their number."""
        values = metadata.unique_values(self._metadata(filters), metadata_field, search_term)
        return values[from_ : from_ + size], len(values)

    # Search

    def embedding_retrieval(
        self,
        query_embedding: list[float],
        *,
        query: str | None = None,
        filters: Filters = None,
        top_k: int = 10,
        return_embedding: bool = False,
        **options: Any,
    ) -> list[Document]:
        """Return the documents with the embeddings that are closest to a query's, with scores.

        With the text `query`, the search is hybrid. `options` are those of `engine.vectors.query`,
        such as `hybrid` and `min_score`. Documents without an embedding are not found.
        """
        options = {"hybrid": query is not None, **options}
        try:
            matches = self.engine.vectors.query(
                **self._place(),
                query_vector=query_embedding,
                query_text=query,
                top_k=top_k,
                filter=And((Equals(Field(("embedded",)), (True,)), parse_filters(filters))),
                include_vector=return_embedding,
                **options,
            )
        except IndexNotFound:
            return []
        return [document_of(match, score=match.score) for match in matches]

    count_documents_async = _database_thread(count_documents)
    filter_documents_async = _database_thread(filter_documents)
    write_documents_async = _database_thread(write_documents)
    delete_documents_async = _database_thread(delete_documents)
    delete_all_documents_async = _database_thread(delete_all_documents)
    delete_by_filter_async = _database_thread(delete_by_filter)
    update_by_filter_async = _database_thread(update_by_filter)
    count_documents_by_filter_async = _database_thread(count_documents_by_filter)
    count_unique_metadata_by_filter_async = _database_thread(count_unique_metadata_by_filter)
    get_metadata_fields_info_async = _database_thread(get_metadata_fields_info)
    get_metadata_field_min_max_async = _database_thread(get_metadata_field_min_max)
    get_metadata_field_unique_values_async = _database_thread(get_metadata_field_unique_values)
    embedding_retrieval_async = _database_thread(embedding_retrieval)

    # The index, which is created with the first documents

    def _place(self) -> dict[str, Any]:
        return {"index_name": self.index_name, "namespace": self.namespace}

    def _upsert(self, rows: dict[str, Any]) -> None:
        try:
            self.engine.vectors.upsert(**self._place(), **rows)
        except IndexNotFound:
            self.engine.vectors.create_index(
                index_name=self.index_name, dimension=self.dimension, metric=self.metric
            )
            self.engine.vectors.upsert(**self._place(), **rows)

    def _existing(self, documents: list[Document]) -> set[str]:
        ids = [document.id for document in documents]
        try:
            rows = self.engine.vectors.get_vectors(**self._place(), ids=ids)
        except IndexNotFound:
            return set()
        return {row.id for row in rows}

    def _rows(self, filters: Filters) -> list[StoredVector]:
        try:
            list_page = self.engine.vectors.list_vectors
            return [*all_items(list_page, **self._place(), filter=_documents(filters))]
        except IndexNotFound:
            return []

    def _delete(self, **selection: Any) -> int:
        try:
            return self.engine.vectors.delete_vectors(**self._place(), **selection)
        except IndexNotFound:
            return 0

    def _metadata(self, filters: Filters) -> list[dict[str, Any]]:
        return [row.metadata["meta"] for row in self._rows(filters)]


def _documents(filters: Filters) -> Node:
    return And((_IS_DOCUMENT, parse_filters(filters)))


def _unique(documents: Any, policy: DuplicatePolicy) -> list[Document]:
    """Return documents with different ids; raises ValueError and DuplicateDocumentError."""
    if not isinstance(documents, list) or not all(isinstance(doc, Document) for doc in documents):
        raise ValueError("Please provide a list of Documents.")
    unique: dict[str, Document] = {}
    for document in documents:
        if document.id not in unique or policy is DuplicatePolicy.OVERWRITE:
            unique[document.id] = document
        elif policy is not DuplicatePolicy.SKIP:
            raise DuplicateDocumentError(f"ID '{document.id}' already exists.")
    return list(unique.values())
