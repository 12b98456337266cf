"""Two engines, asked the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.db import transaction
from hypothesis import HealthCheck

from mastra_engine import MastraEngine, MockMastraEngine, PostgresEngine
from mastra_engine.exceptions import EngineError
from mastra_engine.types import (
    Change,
    Entity,
    Message,
    Page,
    Record,
    Sync,
    SyncLogLine,
    SyncPage,
    SyncRun,
    Thread,
)

DIFFERING_IN_RUNS = (
    {"id", "entity_id", "committed_at", "at"}
    | {field for field in (*SyncRun.__slots__, *Sync.__slots__) if field.endswith("_at")}
    | {"last_run_id"}
)
IDS_AND_TIMES = frozenset({"id", "entity_id", "created_at", "updated_at", "deleted_at"})
UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
QUIET = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}


def seen(value: Any) -> Any:  # noqa: C901 - one case for each type
    """A result without what may differ: ids, times and cursors."""
    match value:
        case Entity():
            return fields_of(value, without=IDS_AND_TIMES)
        case Thread():
            return fields_of(value, without=IDS_AND_TIMES - {"id"})
        case Record():
            times = value.created_at == value.updated_at, value.deleted_at is None
            return fields_of(value, without=IDS_AND_TIMES), times
        case Sync() | SyncRun() | SyncPage() | SyncLogLine():
            return fields_of(value, without=DIFFERING_IN_RUNS)
        case Change():
            return value.action, value.rev, seen(value.record)
        case Message():
            return seen_id(value.id), fields_of(value, without=IDS_AND_TIMES)
        case float():
            return round(value, 5)
        case Page():
            return [seen(item) for item in value], value.next_cursor is None
        case list() | tuple():
            return [seen(item) for item in value]
        case _ if hasattr(value, "__dataclass_fields__"):
            return fields_of(value, without=frozenset())
        case _:
            return value


def fields_of(value: Any, *, without: Collection[str]) -> dict[str, Any]:
    """A dataclass's other fields, so that a new field is compared too."""
    return {
        name: seen(getattr(value, name))
        for name in value.__dataclass_fields__
        if name not in without
    }


def seen_id(id: str) -> str | None:
    """An id that was given; those that an engine makes are random."""
    return None if UUID_TEXT.fullmatch(id) else id


class Pair:
    """Both engines; a call must give the same result, or the same error at the same place."""

    def __init__(self) -> None:
        self.mock = MockMastraEngine(url="mock://agreement")
        self.mock.reset()
        self.postgres = PostgresEngine()

    def call(self, do: Callable[[MastraEngine], Any]) -> Any:
        """Do it; what fails leaves nothing behind."""
        return self._same(do, transaction.atomic())

    def read(self, do: Callable[[MastraEngine], Any]) -> Any:
        """Do what changes nothing: a savepoint around it would take as long as all the rest."""
        return self._same(do, nullcontext())

    def _same(self, do: Callable[[MastraEngine], Any], around: AbstractContextManager[Any]) -> Any:
        expected = self._outcome(do, self.mock, nullcontext())
        actual = self._outcome(do, self.postgres, around)
        assert seen(actual) == seen(expected)
        return actual

    def _outcome(
        self,
        do: Callable[[MastraEngine], Any],
        engine: MastraEngine,
        around: AbstractContextManager[Any],
    ) -> Any:
        try:
            with around:
                return do(engine)
        except EngineError as error:
            return type(error), getattr(error, "path", None)
