"""The queue of background work: it enqueues Django tasks on the backend of the `TASKS` setting."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from mastra_engine.conf import engine_settings
from mastra_engine.exceptions import EngineConfigError, EngineError
from mastra_engine.validation.suggestions import unknown

#: The options that a project may pass to `task.using()`.
OPTIONS = ("backend", "queue_name", "priority")


class TaskQueue:
    """Enqueues the tasks of one engine, with `options` passed to `task.using()`.

    Raises EngineConfigError for an unknown option.
    """

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        for name in options:
            if name not in OPTIONS:
                message = f"MASTRA_ENGINE[{alias!r}]['TASKS']: {unknown('option', name, OPTIONS)}"
                raise EngineConfigError(message)
        self.alias = alias
        self.options = options

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.alias!r}>"

    @property
    def can_wait(self) -> bool:
        """Whether the task backend supports delayed tasks (`run_after`)."""
        return bool(self._task().get_backend().supports_defer)

    def send(self, run_id: UUID, *, delay: float = 0) -> None:
        """Enqueue the task that performs a sync run after `delay` seconds."""
        wait = {"run_after": timezone.now() + timedelta(seconds=delay)} if delay else {}
        self._task(**wait).enqueue(self.alias, str(run_id))

    def index(self, entity_id: UUID) -> None:
        """Enqueue the task that indexes an entity's records."""
        from mastra_engine.tasks import index_entity

        index_entity.using(**self.options).enqueue(self.alias, str(entity_id))

    def embed(self, thread_id: str) -> None:
        """Enqueue the task that embeds a thread's messages."""
        from mastra_engine.tasks import embed_thread

        embed_thread.using(**self.options).enqueue(self.alias, thread_id)

    def index_state(self, resource_id: str) -> None:
        """Enqueue the task that indexes a resource's agent state."""
        from mastra_engine.tasks import index_state

        index_state.using(**self.options).enqueue(self.alias, resource_id)

    def index_facts(self, resource_id: str) -> None:
        """Enqueue the task that indexes a resource's facts."""
        from mastra_engine.tasks import index_facts

        index_facts.using(**self.options).enqueue(self.alias, resource_id)

    def extract_facts(self, thread_id: str) -> None:
        """Enqueue the task that extracts facts from a thread's messages."""
        from mastra_engine.tasks import extract_facts

        extract_facts.using(**self.options).enqueue(self.alias, thread_id)

    def _task(self, **options: Any) -> Any:
        from mastra_engine.tasks import perform_sync_run

        return perform_sync_run.using(**self.options, **options)


def enqueue_build(alias: str, index_name: str) -> None:
    """Enqueue the task that builds the search structure of a vector index.

    Raises EngineError if the task backend runs tasks immediately and the build failed.
    """
    from mastra_engine.tasks import build_index

    _enqueue(build_index, alias, index_name, failure="The build failed")


def enqueue_rebuild(alias: str, index_name: str) -> None:
    """Enqueue the task that indexes again all that a vector index is made from.

    Raises EngineError if the task backend runs tasks immediately and one failed.
    """
    from mastra_engine.tasks import rebuild_index

    _enqueue(rebuild_index, alias, index_name, failure="Indexing everything again failed")


def _enqueue(task: Any, alias: str, index_name: str, *, failure: str) -> None:
    options = engine_settings()[alias].get("TASKS", {})
    for error in task.using(**options).enqueue(alias, index_name).errors:
        raise EngineError(f"{failure}: {error.exception_class_path}")
