"""Fixtures of the tests of LangGraph."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asgiref.sync import SyncToAsync
from django.db import connections

from mastra_engine.contrib.langgraph import DjangoCheckpointer
from tests.concurrency.conftest import start

__all__ = ["saver", "start"]


@pytest.fixture
def saver(transactional_db: None) -> Iterator[DjangoCheckpointer]:
    """A checkpointer. Asynchronous calls have a connection of their own."""
    yield DjangoCheckpointer()
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()
