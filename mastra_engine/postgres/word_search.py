"""Rows that have words: by an index of words, or by scanning a bounded number of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import RawSQL

from mastra_engine.postgres.partitions import Partition


def vectors_with_words(partition: Partition, words: Sequence[str], *, limit: int) -> RawSQL:
    """Return a subquery of the ids of up to `limit` vectors whose documents have all the words."""
    condition = "words @@ plainto_tsquery(%s::regconfig, %s)"
    sql = f"SELECT id FROM {partition.table} WHERE {condition} LIMIT %s"
    return RawSQL(sql, [partition.index.language, " ".join(words), limit])  # noqa: S611 - our names


def scan(
    connection: BaseDatabaseWrapper,
    rows: tuple[str, Sequence[Any]],
    words: Sequence[str],
    *,
    limit: int,
) -> set[Any]:
    """Return the keys of up to `limit` rows whose text has all the words.

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
