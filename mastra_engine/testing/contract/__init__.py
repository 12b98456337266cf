"""The contract as a test suite. Run it whole against an engine:

class TestMyEngine(ContractSuite):
    @pytest.fixture
    def engine(self):
        return MyEngine()
"""

from __future__ import annotations

from mastra_engine.testing.contract.queries import QueryTests
from mastra_engine.testing.contract.records import EntityTests, RecordTests
from mastra_engine.testing.contract.syncs import ChangeFeedTests, SyncTests

__all__ = ["ContractSuite"]


class ContractSuite(EntityTests, RecordTests, QueryTests, SyncTests, ChangeFeedTests):
    """Everything the contract promises; there is nothing to leave out."""
