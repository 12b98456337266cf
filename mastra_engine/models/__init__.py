"""The tables of the engine: read them with the ORM, and write to them through an engine."""

from __future__ import annotations

from mastra_engine.models.evaluations import EvaluationCase, EvaluationResult
from mastra_engine.models.facts import Fact, FactReading, FactSource
from mastra_engine.models.idempotency import IdempotencyRecord
from mastra_engine.models.memory import IdempotentAppend, Message, Thread, WorkingMemory
from mastra_engine.models.record_search import IndexProgress
from mastra_engine.models.records import Entity, Record
from mastra_engine.models.state import StateItem
from mastra_engine.models.sync_runs import Sync, SyncPage, SyncRun
from mastra_engine.models.vectors import Embedding, VectorIndex

__all__ = [
    "Embedding",
    "Entity",
    "EvaluationCase",
    "EvaluationResult",
    "Fact",
    "FactReading",
    "FactSource",
    "IdempotencyRecord",
    "IdempotentAppend",
    "IndexProgress",
    "Message",
    "Record",
    "StateItem",
    "Sync",
    "SyncPage",
    "SyncRun",
    "Thread",
    "VectorIndex",
    "WorkingMemory",
]
