"""The result of an erasure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The number of objects that an erasure deleted, or would delete in a dry run."""

    threads: int = 0
    messages: int = 0
    working_memory: int = 0
    state_items: int = 0
    facts: int = 0
    vectors: int = 0
    entities: int = 0
    records: int = 0
    sync_runs: int = 0
    evaluation_cases: int = 0
