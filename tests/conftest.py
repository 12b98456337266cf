"""Fixtures that every test may use."""

from __future__ import annotations

import pytest

from mastra_engine import PostgresEngine


@pytest.fixture
def postgres_engine(db: None) -> PostgresEngine:
    return PostgresEngine(lock_timeout=60)
