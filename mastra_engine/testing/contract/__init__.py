"""The contract as a test suite. Run it whole against an engine of your own:

from mastra_engine.testing.contract import *

@pytest.fixture
def engine():
    return an_empty_engine()
"""

from __future__ import annotations

from mastra_engine.testing.contract.context_windows import TestContextWindows
from mastra_engine.testing.contract.entities import TestEntities
from mastra_engine.testing.contract.equal_ids import TestEqualIds
from mastra_engine.testing.contract.evaluation import TestEvaluation
from mastra_engine.testing.contract.event_loop import TestEventLoop
from mastra_engine.testing.contract.export import TestExport
from mastra_engine.testing.contract.fact_consolidation import TestFactConsolidation
from mastra_engine.testing.contract.fact_extraction import (
    TestFactExtraction,
    TestScopedFactExtraction,
)
from mastra_engine.testing.contract.fact_search import TestFactSearch
from mastra_engine.testing.contract.fact_sources import TestFactSources, TestScopedFacts
from mastra_engine.testing.contract.facts import TestFacts
from mastra_engine.testing.contract.facts_in_windows import TestFactsInWindows
from mastra_engine.testing.contract.following import TestFollowing
from mastra_engine.testing.contract.hostile_memory import TestHostileMemory
from mastra_engine.testing.contract.hybrid import (
    TestHybridRecall,
    TestHybridRecordSearch,
    TestHybridSearch,
)
from mastra_engine.testing.contract.idempotency import TestIdempotency
from mastra_engine.testing.contract.indexing import TestIndexDeclarations, TestIndexing
from mastra_engine.testing.contract.memory_limits import TestMemoryLimits
from mastra_engine.testing.contract.messages import TestMessages
from mastra_engine.testing.contract.models import TestModels
from mastra_engine.testing.contract.page_sizes import TestPageSizes
from mastra_engine.testing.contract.queries import TestQueries
from mastra_engine.testing.contract.recall import TestRecall
from mastra_engine.testing.contract.record_search import TestRecordSearch
from mastra_engine.testing.contract.records import TestRecords
from mastra_engine.testing.contract.returned_fields import TestReturnedFields
from mastra_engine.testing.contract.scoped_engine import TestConfinedEngine
from mastra_engine.testing.contract.scoped_memory import TestScopedMemory
from mastra_engine.testing.contract.search import TestVectorSearch
from mastra_engine.testing.contract.sparse_vectors import TestSparseVectors
from mastra_engine.testing.contract.state import TestState
from mastra_engine.testing.contract.state_search import TestStateBatches, TestStateSearch
from mastra_engine.testing.contract.sync_failures import TestSyncFailures, TestSyncParams
from mastra_engine.testing.contract.sync_logs import TestSyncLogs
from mastra_engine.testing.contract.sync_pages import TestSyncPages
from mastra_engine.testing.contract.sync_runs import TestSyncRuns
from mastra_engine.testing.contract.sync_state import TestSyncState
from mastra_engine.testing.contract.syncs import TestChangeFeed, TestSyncs
from mastra_engine.testing.contract.takeovers import TestSyncQueue, TestSyncTakeover
from mastra_engine.testing.contract.text_arguments import TestTextArguments
from mastra_engine.testing.contract.threads import TestThreads
from mastra_engine.testing.contract.transfer import TestErasure, TestTransfer
from mastra_engine.testing.contract.value_types import TestValueTypes
from mastra_engine.testing.contract.vector_lists import TestVectorLists
from mastra_engine.testing.contract.vectors import TestVectors
from mastra_engine.testing.contract.working_memory import TestWorkingMemory

__all__ = [
    "TestChangeFeed",
    "TestConfinedEngine",
    "TestContextWindows",
    "TestEntities",
    "TestEqualIds",
    "TestErasure",
    "TestEvaluation",
    "TestEventLoop",
    "TestExport",
    "TestFactConsolidation",
    "TestFactExtraction",
    "TestFactSearch",
    "TestFactSources",
    "TestFacts",
    "TestFactsInWindows",
    "TestFollowing",
    "TestHostileMemory",
    "TestHybridRecall",
    "TestHybridRecordSearch",
    "TestHybridSearch",
    "TestIdempotency",
    "TestIndexDeclarations",
    "TestIndexing",
    "TestMemoryLimits",
    "TestMessages",
    "TestModels",
    "TestPageSizes",
    "TestQueries",
    "TestRecall",
    "TestRecordSearch",
    "TestRecords",
    "TestReturnedFields",
    "TestScopedFactExtraction",
    "TestScopedFacts",
    "TestScopedMemory",
    "TestSparseVectors",
    "TestState",
    "TestStateBatches",
    "TestStateSearch",
    "TestSyncFailures",
    "TestSyncLogs",
    "TestSyncPages",
    "TestSyncParams",
    "TestSyncQueue",
    "TestSyncRuns",
    "TestSyncState",
    "TestSyncTakeover",
    "TestSyncs",
    "TestTextArguments",
    "TestThreads",
    "TestTransfer",
    "TestValueTypes",
    "TestVectorLists",
    "TestVectorSearch",
    "TestVectors",
    "TestWorkingMemory",
]
