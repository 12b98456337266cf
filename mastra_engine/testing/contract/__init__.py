"""The contract as a test suite. Run it whole against an engine of your own:

from mastra_engine.testing.contract import *

@pytest.fixture
def engine():
    return an_empty_engine()
"""

from __future__ import annotations

from mastra_engine.testing.contract.confined import TestConfinedMemory
from mastra_engine.testing.contract.confinedengine import TestConfinedEngine
from mastra_engine.testing.contract.following import TestFollowing
from mastra_engine.testing.contract.hostilememory import TestHostileMemory
from mastra_engine.testing.contract.indexing import TestIndexDeclarations, TestIndexing
from mastra_engine.testing.contract.messages import TestMessages
from mastra_engine.testing.contract.once import TestOnce
from mastra_engine.testing.contract.queries import TestQueries
from mastra_engine.testing.contract.recall import TestRecall
from mastra_engine.testing.contract.records import TestEntities, TestRecords
from mastra_engine.testing.contract.recordsearch import TestRecordSearch
from mastra_engine.testing.contract.runfailures import TestSyncFailures, TestSyncParams
from mastra_engine.testing.contract.runpages import TestSyncPages
from mastra_engine.testing.contract.runs import TestSyncRuns
from mastra_engine.testing.contract.search import TestVectorSearch
from mastra_engine.testing.contract.syncs import TestChangeFeed, TestSyncs
from mastra_engine.testing.contract.takeovers import TestSyncQueue, TestSyncTakeover
from mastra_engine.testing.contract.threads import TestThreads
from mastra_engine.testing.contract.transfer import TestErasure, TestTransfer
from mastra_engine.testing.contract.vectors import TestVectors
from mastra_engine.testing.contract.windows import TestContextWindows
from mastra_engine.testing.contract.working import TestWorkingMemory

__all__ = [
    "TestChangeFeed",
    "TestConfinedEngine",
    "TestConfinedMemory",
    "TestContextWindows",
    "TestEntities",
    "TestErasure",
    "TestFollowing",
    "TestHostileMemory",
    "TestIndexDeclarations",
    "TestIndexing",
    "TestMessages",
    "TestOnce",
    "TestQueries",
    "TestRecall",
    "TestRecordSearch",
    "TestRecords",
    "TestSyncFailures",
    "TestSyncPages",
    "TestSyncParams",
    "TestSyncQueue",
    "TestSyncRuns",
    "TestSyncTakeover",
    "TestSyncs",
    "TestThreads",
    "TestTransfer",
    "TestVectorSearch",
    "TestVectors",
    "TestWorkingMemory",
]
