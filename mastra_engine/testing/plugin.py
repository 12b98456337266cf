"""Fixtures for projects that test with pytest; loaded by itself once the package is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mastra_engine.backends.mock import MockMastraEngine


@pytest.fixture
def mock_engine() -> MockMastraEngine:
    """An empty engine without a database."""
    from mastra_engine.backends.mock import MockMastraEngine

    engine = MockMastraEngine(url="mock://mock_engine")
    engine.reset()
    return engine
