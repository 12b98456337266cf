"""The engine in Django's admin: what is stored, and what may be done about it.

Django imports this package where `django.contrib.admin` is installed.
"""

from __future__ import annotations

from mastra_engine.admin.idempotency import AnswerAdmin
from mastra_engine.admin.memory import (
    AppendAdmin,
    MessageAdmin,
    ThreadAdmin,
    WorkingMemoryAdmin,
)
from mastra_engine.admin.records import EntityAdmin, RecordAdmin
from mastra_engine.admin.sync_runs import SyncPageAdmin, SyncRunAdmin
from mastra_engine.admin.vectors import EmbeddingAdmin, IndexProgressAdmin, VectorIndexAdmin

__all__ = [
    "AnswerAdmin",
    "AppendAdmin",
    "EmbeddingAdmin",
    "EntityAdmin",
    "IndexProgressAdmin",
    "MessageAdmin",
    "RecordAdmin",
    "SyncPageAdmin",
    "SyncRunAdmin",
    "ThreadAdmin",
    "VectorIndexAdmin",
    "WorkingMemoryAdmin",
]
