"""The suites of document stores that Haystack publishes."""

from __future__ import annotations

import pytest
from haystack import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.testing import document_store as suites
from haystack.testing import document_store_async as async_suites

from mastra_engine import MastraEngine
from mastra_engine.contrib.haystack import EngineDocumentStore


class TestSuite(
    suites.DocumentStoreBaseExtendedTests,
    suites.CountDocumentsByFilterTest,
    suites.CountUniqueMetadataByFilterTest,
    suites.GetMetadataFieldsInfoTest,
    suites.GetMetadataFieldMinMaxTest,
    suites.GetMetadataFieldUniqueValuesTest,
):
    @pytest.fixture
    def document_store(self, each_engine: MastraEngine) -> EngineDocumentStore:
        return EngineDocumentStore(index_name="suite", dimension=768, engine=each_engine)

    def test_write_documents(self, document_store: EngineDocumentStore) -> None:
        """Haystack leaves the default policy to the stores: here it is to fail."""
        documents = [Document(content="one", id="1"), Document(content="two", id="2")]
        assert document_store.write_documents(documents) == 2
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([Document(content="three", id="3"), documents[0]])
        assert document_store.filter_documents() == documents


class TestAsyncSuite(
    async_suites.CountDocumentsAsyncTest,
    async_suites.CountDocumentsByFilterAsyncTest,
    async_suites.CountUniqueMetadataByFilterAsyncTest,
    async_suites.DeleteAllAsyncTest,
    async_suites.DeleteByFilterAsyncTest,
    async_suites.DeleteDocumentsAsyncTest,
    async_suites.FilterDocumentsAsyncTest,
    async_suites.GetMetadataFieldMinMaxAsyncTest,
    async_suites.GetMetadataFieldsInfoAsyncTest,
    async_suites.GetMetadataFieldUniqueValuesAsyncTest,
    async_suites.UpdateByFilterAsyncTest,
    async_suites.WriteDocumentsAsyncTest,
):
    @pytest.fixture
    def document_store(self, committing_engine: MastraEngine) -> EngineDocumentStore:
        return EngineDocumentStore(index_name="suite", dimension=768, engine=committing_engine)

    async def test_write_documents_async(self, document_store: EngineDocumentStore) -> None:
        """Haystack leaves the default policy to the stores: here it is to fail."""
        documents = [Document(content="one", id="1"), Document(content="two", id="2")]
        assert await document_store.write_documents_async(documents) == 2
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async([documents[0]])
        assert await document_store.filter_documents_async() == documents
