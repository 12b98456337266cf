"""The engine in Django's admin: pages of its tables, and actions on them.

Django imports this package where `django.contrib.admin` is installed.
"""

from __future__ import annotations

from mastra_engine.admin.evaluations import EvaluationCaseAdmin, EvaluationResultAdmin
from mastra_engine.admin.facts import FactAdmin, FactReadingAdmin, FactSourceAdmin
from mastra_engine.admin.idempotency import IdempotencyRecordAdmin
from mastra_engine.admin.memory import (
    IdempotentAppendAdmin,
    MessageAdmin,
    ThreadAdmin,
    WorkingMemoryAdmin,
)
from mastra_engine.admin.records import EntityAdmin, RecordAdmin
from mastra_engine.admin.state import StateItemAdmin
from mastra_engine.admin.sync_runs import SyncPageAdmin, SyncRunAdmin
from mastra_engine.admin.syncs import SyncAdmin
from mastra_engine.admin.vectors import EmbeddingAdmin, IndexProgressAdmin, VectorIndexAdmin

__all__ = [
    "EmbeddingAdmin",
    "EntityAdmin",
    "EvaluationCaseAdmin",
    "EvaluationResultAdmin",
    "FactAdmin",
    "FactReadingAdmin",
    "FactSourceAdmin",
    "IdempotencyRecordAdmin",
    "IdempotentAppendAdmin",
    "IndexProgressAdmin",
    "MessageAdmin",
    "RecordAdmin",
    "StateItemAdmin",
    "SyncAdmin",
    "SyncPageAdmin",
    "SyncRunAdmin",
    "ThreadAdmin",
    "VectorIndexAdmin",
    "WorkingMemoryAdmin",
]
