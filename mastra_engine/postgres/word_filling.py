"""Adding search vectors to the documents that an earlier release stored.

Each batch is a transaction of its own, and a document that has words is left alone. So it can be
stopped and repeated at any time, and writers wait for a batch at most.
"""

from __future__ import annotations

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine import failpoints
from mastra_engine.postgres.definitions import find_definition
from mastra_engine.postgres.partitions import Partition
from mastra_engine.retrieval.words import analyzed

#: Documents of a batch, and the bytes after which it ends earlier.
_DOCUMENTS, _BYTES = 500, 8 * 2**20

_INCOMPLETE = "SELECT name FROM mastra_engine_vectorindex WHERE NOT has_words ORDER BY name"
_COMPLETE = "UPDATE mastra_engine_vectorindex SET has_words = true WHERE id = %s"

# The key is read in its order, so each batch begins where the last one ended.
_READ = """
SELECT namespace, id, document FROM (
    SELECT *, sum(octet_length(document)) OVER (ORDER BY namespace, id) AS bytes
    FROM (
        SELECT namespace, id, document FROM {table}
        WHERE index_id = %s AND (namespace, id) > (%s, %s)
          AND words IS NULL AND document IS NOT NULL
        ORDER BY namespace, id LIMIT {documents}
    ) AS first
) AS batch
WHERE bytes - octet_length(document) < {bytes}
ORDER BY namespace, id
"""

# Rows are locked one by one in the order of the key, as by all writers; otherwise two could wait
# for each other. The condition is checked after the wait, so a writer's words are not replaced.
_WRITE = """
UPDATE {table} SET analyzed = %s
WHERE index_id = %s AND namespace = %s AND id = %s AND words IS NULL
"""


def without_words(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the names of the vector indexes with documents that lexical search may not find."""
    with connection.cursor() as cursor:
        cursor.execute(_INCOMPLETE)
        return [name for (name,) in cursor.fetchall()]


def add_words(connection: BaseDatabaseWrapper, name: str) -> bool:
    """Add words to the documents of a vector index that have none, in autocommit mode.

    Returns False if another process builds a structure of the index now; repeat the call later.
    """
    definition = find_definition(connection, name)
    if definition is None:  # it has been deleted meanwhile
        return True
    partition = Partition(connection, definition)
    if not partition.build_words():
        return False
    last = ("", "")
    while batch := _read(partition, last):
        _write(partition, batch)
        failpoints.hit("words_added")
        last = batch[-1][:2]
    partition.analyze()
    with connection.cursor() as cursor:
        cursor.execute(_COMPLETE, [definition.id])
    return True


def _read(partition: Partition, last: tuple[str, str]) -> list[tuple[str, str, str]]:
    sql = _READ.format(table=partition.table, documents=_DOCUMENTS, bytes=_BYTES)
    with partition.connection.cursor() as cursor:
        cursor.execute(sql, [partition.index.id, *last])
        return list(cursor.fetchall())


def _write(partition: Partition, batch: list[tuple[str, str, str]]) -> None:
    rows = [
        (analyzed(document), partition.index.id, namespace, id) for namespace, id, document in batch
    ]
    with (
        transaction.atomic(using=partition.connection.alias),
        partition.connection.cursor() as cursor,
    ):
        cursor.executemany(_WRITE.format(table=partition.table), rows)
