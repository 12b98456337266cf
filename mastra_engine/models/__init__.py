"""The tables. They are written through an engine; reading them with the ORM is fine."""

from __future__ import annotations

from mastra_engine.models.indexing import Bookmark
from mastra_engine.models.memory import Append, Message, Thread, WorkingMemory
from mastra_engine.models.once import Answer
from mastra_engine.models.records import Entity, Record
from mastra_engine.models.syncs import SyncPage, SyncRun
from mastra_engine.models.vectors import Embedding, VectorIndex

__all__ = [
    "Answer",
    "Append",
    "Bookmark",
    "Embedding",
    "Entity",
    "Message",
    "Record",
    "SyncPage",
    "SyncRun",
    "Thread",
    "VectorIndex",
    "WorkingMemory",
]
