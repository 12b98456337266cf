"""Erasing the checkpoints of a resource, with everything else that the engine has of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections
from django.db.models.fields.json import KT

from mastra_engine.contrib.langgraph import statements
from mastra_engine.contrib.langgraph.connections import execute
from mastra_engine.contrib.langgraph.models import Checkpoint


def delete_checkpoints(
    *, database: str, resource_id: str, thread_ids: Sequence[str], **_: Any
) -> None:
    """Delete the checkpoints of the resource's threads, and of threads that name it in metadata.

    LangGraph copies the configuration of a run, except the thread's id, to the metadata of its
    checkpoints.
    """
    connection = connections[database]
    if Checkpoint._meta.db_table not in connection.introspection.table_names():
        return
    of_resource = (
        Checkpoint._default_manager.using(database)
        .alias(owner=KT("metadata__resource_id"))
        .filter(metadata__has_key="resource_id", owner=resource_id)
        .values_list("thread_id", flat=True)
        .distinct()
    )
    execute(connection, statements.DELETE_THREADS, {"thread_ids": [*{*thread_ids, *of_resource}]})
