"""The tasks that the project's workers run.

Import this module only to send a task: Django validates the tasks of a module on import.
"""

from __future__ import annotations

from contextlib import suppress

from mastra_engine.backends.base.own_indexes import own_indexes
from mastra_engine.exceptions import EntityNotFound, ThreadNotFound
from mastra_engine.handler import DEFAULT_ALIAS, engines

try:
    from django.tasks import task
except ImportError:  # Django below 6
    from django_tasks import task  # type: ignore[no-redef]


# `task.using()` names the queue and the backend when a task is sent. Django would validate names in
# the decorator against the project's TASKS setting, which may lack them.
@task()
def perform_sync_run(alias: str, run_id: str) -> None:
    """Perform a queued sync run on the engine of that alias. Repeating it is safe."""
    engines[alias].perform_sync_run(id=run_id)


@task()
def index_entity(alias: str, entity_id: str) -> None:
    """Index the pending records of an entity. Repeating it is safe."""
    engine = engines[alias]
    with suppress(EntityNotFound):  # it was deleted together with its vectors
        entity = engine.get_entity_by_id(id=entity_id)
        engine.index_pending(entity_name=entity.name, connection_id=entity.connection_id)


@task()
def embed_thread(alias: str, thread_id: str) -> None:
    """Embed the pending messages of a thread. Repeating it is safe."""
    with suppress(ThreadNotFound):  # it was deleted together with its messages
        engines[alias].memory.embed_pending(thread_id=thread_id)


@task()
def expire_messages(alias: str = DEFAULT_ALIAS) -> None:
    """Delete messages older than RETENTION_DAYS. Schedule it with your task system."""
    engines[alias].memory.expire_messages()


@task()
def index_state(alias: str, resource_id: str) -> None:
    """Index the items of a resource's agent state that wait for it. Repeating it is safe."""
    engines[alias].state.within(resource_ids=[resource_id]).index_pending()


@task()
def delete_expired_state(alias: str = DEFAULT_ALIAS) -> None:
    """Delete expired items of agent state. Schedule it with your task system."""
    engines[alias].state.delete_expired()


@task()
def index_facts(alias: str, resource_id: str) -> None:
    """Index the facts of a resource that wait for it. Repeating it is safe."""
    engines[alias].within(resource_ids=[resource_id]).facts.index_pending()


@task()
def extract_facts(alias: str = DEFAULT_ALIAS, thread_id: str | None = None) -> None:
    """Extract facts from the unread messages of a thread. Repeating it is safe.

    Without a thread these are the threads with unread messages: schedule that with your task
    system, for messages that a lost or failed task has left unread.
    """
    with suppress(ThreadNotFound):  # it was deleted together with its messages
        engines[alias].facts.extract_pending(thread_id=thread_id)


@task()
def build_index(alias: str, index_name: str) -> None:
    """Build the search structure of a vector index. Repeating it is safe."""
    engines[alias].vectors.build_index(index_name=index_name)


@task()
def rebuild_index(alias: str, index_name: str) -> None:
    """Index again all that an index is made from: messages, state, facts, or records.

    Repeating it is safe.
    """
    engine = engines[alias]
    if (reindex := own_indexes(engine).get(index_name)) is not None:
        reindex()
    else:
        engine.index_pending(index_name=index_name, rebuild=True)
