"""Background work handed to Django's tasks, and so to whatever the project's `TASKS` names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from mastra_engine.conf import engine_settings
from mastra_engine.exceptions import EngineConfigError, EngineError

OPTIONS = {"backend", "queue_name", "priority"}


class TaskQueue:
    """Tasks of one engine; `options` go to `task.using`. Raises EngineConfigError for others."""

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        if unknown := sorted(options.keys() - OPTIONS):
            raise EngineConfigError(f"TASKS has no option {', '.join(unknown)}")
        self.alias = alias
        self.options = options

    @property
    def can_wait(self) -> bool:
        """Whether the backend takes `run_after`."""
        return bool(self._task().get_backend().supports_defer)

    def send(self, run_id: UUID, *, delay: float = 0) -> None:
        """Enqueue the task; workers find the engine by its alias."""
        wait = {"run_after": timezone.now() + timedelta(seconds=delay)} if delay else {}
        self._task(**wait).enqueue(self.alias, str(run_id))

    def index(self, entity_id: UUID) -> None:
        """Enqueue the task that indexes an entity."""
        from mastra_engine.tasks import index_entity

        index_entity.using(**self.options).enqueue(self.alias, str(entity_id))

    def embed(self, thread_id: str) -> None:
        """Enqueue the task that embeds a thread's messages."""
        from mastra_engine.tasks import embed_thread

        embed_thread.using(**self.options).enqueue(self.alias, thread_id)

    def _task(self, **options: Any) -> Any:
        from mastra_engine.tasks import perform_sync_run

        return perform_sync_run.using(**self.options, **options)


def enqueue_build(alias: str, index_name: str) -> None:
    """Have a worker build the search structure of an engine's index.

    Raises EngineError where the project's tasks run at once and the build failed.
    """
    from mastra_engine.tasks import build_index

    options = engine_settings()[alias].get("TASKS", {})
    result = build_index.using(**options).enqueue(alias, index_name)
    for error in result.errors:
        raise EngineError(f"The build failed: {error.exception_class_path}")
