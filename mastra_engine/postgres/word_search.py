"""Rows by their words, from an index or a bounded scan, and records by their external ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import RawSQL

from mastra_engine.postgres.partitions import Partition

# Only a chunk's metadata names its record.
_RECORDS = """
SELECT record.id
FROM {table} AS chunk
JOIN mastra_engine_indexprogress AS progress
    ON progress.vector_index_id = %s AND progress.entity_id::text = chunk.metadata->>'@entity_id'
JOIN mastra_engine_record AS record
    ON record.entity_id = progress.entity_id
    AND record.external_id = chunk.metadata->>'@external_id'
WHERE chunk.words @@ plainto_tsquery(%s::regconfig, %s)
LIMIT %s
"""

_BEGINNING = """
SELECT matching.id
FROM (SELECT id FROM mastra_engine_entity ORDER BY id LIMIT %s) AS entity
CROSS JOIN LATERAL (
    SELECT record.id FROM mastra_engine_record AS record
    WHERE record.entity_id = entity.id AND record.external_id LIKE %s
    LIMIT %s
) AS matching
"""


def vectors_with_words(partition: Partition, words: Sequence[str], *, limit: int) -> RawSQL:
    """Return a subquery of the ids of up to `limit` vectors with all the words in their text."""
    condition = "words @@ plainto_tsquery(%s::regconfig, %s)"
    sql = f"SELECT id FROM {partition.table} WHERE {condition} LIMIT %s"
    return RawSQL(sql, [partition.index.language, " ".join(words), limit])  # noqa: S611 - our names


def records_with_words(
    partitions: Sequence[Partition], words: Sequence[str], *, limit: int
) -> RawSQL:
    """Return a subquery of the ids of records of which a chunk has all the words.

    `limit` is the number of chunks in each index; there is at least one index.
    """
    parts, params = [], list[Any]()
    for partition in partitions:
        parts.append(f"({_RECORDS.format(table=partition.table)})")
        params += [partition.index.id, partition.index.language, " ".join(words), limit]
    return RawSQL(" UNION ALL ".join(parts), params)  # noqa: S611 - our names


def records_beginning_with(beginning: str, *, entities: int, limit: int) -> RawSQL:
    """Return a subquery of the ids of records with an external id that begins with a text.

    The index needs the entity, so `limit` records of each of the first `entities` are looked up.
    """
    escaped = re.sub(r"([\\%_])", r"\\\1", beginning)
    return RawSQL(_BEGINNING, [entities, f"{escaped}%", limit])  # noqa: S611 - a constant


def scan(
    connection: BaseDatabaseWrapper,
    rows: tuple[str, Sequence[Any]],
    words: Sequence[str],
    *,
    limit: int,
) -> set[Any]:
    """Return the keys of up to `limit` rows that have all the words in their text.

    `rows` is a statement that selects their keys and their texts in lower case.
    """
    sql, params = rows
    condition = " AND ".join(["strpos(text, %s) > 0"] * len(words))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT key FROM ({sql}) AS scanned (key, text) WHERE {condition} LIMIT %s",
            [*params, *words, limit],
        )
        return {key for (key,) in cursor.fetchall()}
