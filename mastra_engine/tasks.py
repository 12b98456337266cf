"""What the project's task workers run. Imported when a task is sent, for Django checks it then."""

from __future__ import annotations

from contextlib import suppress

from mastra_engine.exceptions import EntityNotFound, ThreadNotFound
from mastra_engine.handler import DEFAULT_ALIAS, engines

try:
    from django.tasks import task
except ImportError:  # Django below 6
    from django_tasks import task  # type: ignore[no-redef]


# Queue and backend are given when it is sent: here they would be checked against settings that may
# not have them.
@task()
def perform_sync_run(alias: str, run_id: str) -> None:
    """Perform a queued sync run on the engine of that alias; doing it twice does no harm."""
    engines[alias].perform_sync_run(id=run_id)


@task()
def index_entity(alias: str, entity_id: str) -> None:
    """Bring the indexes of an entity's records up to date; doing it twice does no harm."""
    engine = engines[alias]
    with suppress(EntityNotFound):  # deleted since, and its vectors with it
        entity = engine.get_entity_by_id(id=entity_id)
        engine.index_pending(entity_name=entity.name, connection_id=entity.connection_id)


@task()
def embed_thread(alias: str, thread_id: str) -> None:
    """Embed a thread's messages that wait for it; doing it twice does no harm."""
    with suppress(ThreadNotFound):  # deleted since, and its messages with it
        engines[alias].memory.embed_pending(thread_id=thread_id)


@task()
def expire_messages(alias: str = DEFAULT_ALIAS) -> None:
    """Delete messages older than RETENTION_DAYS; for whatever schedules tasks."""
    engines[alias].memory.expire_messages()


@task()
def build_index(alias: str, index_name: str) -> None:
    """Build the search structure of an index; doing it twice does no harm."""
    engines[alias].vectors.build_index(index_name=index_name)
