"""Keeping partitions in step with vector indexes that Django itself writes or truncates."""

from __future__ import annotations

from typing import Any

from django.db import connections, transaction

from mastra_engine.models import VectorIndex
from mastra_engine.postgres.definitions import find_definition
from mastra_engine.postgres.partitions import Partition, drop_orphans, missing


def create_partition(using: str, instance: VectorIndex, **_: Any) -> None:
    """Create the partition of a vector index that was saved through the model.

    A receiver of `post_save`. The engine itself inserts the row without the model.
    """
    connection = connections[using]
    definition = find_definition(connection, instance.name)
    if definition is not None and missing(connection, definition):
        with transaction.atomic(using=using):
            Partition(connection, definition).create()


def drop_orphaned_partitions(using: str, **_: Any) -> None:
    """Drop the partitions of vector indexes that do not exist.

    A receiver of `post_migrate`, which Django sends after `flush`, too. That truncates all tables,
    and leaves the partitions.
    """
    connection = connections[using]
    if connection.vendor == "postgresql":
        drop_orphans(connection)
