"""Rows of every table as each migration left it, written by SQL as an earlier version did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

ENTITY = "01900000-0000-7000-8000-000000000001"
RECORDS = [f"01900000-0000-7000-8000-00000000001{i}" for i in range(1, 4)]
RUNS = [f"01900000-0000-7000-8000-00000000002{i}" for i in range(1, 3)]
SYNC = "0196b7d2-0000-7000-8000-0000000000aa"
APPEND = "01900000-0000-7000-8000-000000000031"
MEMORIES = [f"01900000-0000-7000-8000-00000000004{i}" for i in range(1, 3)]
IDEMPOTENCY_RECORD = "01900000-0000-7000-8000-000000000051"
STATE_ITEM = "01900000-0000-7000-8000-000000000061"
FACT, FACT_SOURCE = (f"01900000-0000-7000-8000-00000000007{i}" for i in range(1, 3))
EVALUATION = "01900000-0000-7000-8000-000000000081"
HASH = "00000000-0000-0000-0000-000000000000"


class Rows(NamedTuple):
    """Rows of a table in the form that it has from one migration to another, both included."""

    table: str
    sql: str
    first: int
    last: int = 9999


_ROWS = (
    Rows(
        "entity",
        f"""
        INSERT INTO mastra_engine_entity (id, connection_id, name, last_sync_id, rev)
        VALUES ('{ENTITY}', 'crm-1', 'Contacts', 'cursor-1', 3)
        """,
        first=1,
    ),
    Rows(
        "record",
        f"""
        INSERT INTO mastra_engine_record
            (id, entity_id, external_id, data, content_hash, rev, created_rev, deleted_at)
        VALUES
            ('{RECORDS[0]}', '{ENTITY}', 'c1', '{{"name": "Ada"}}', '{HASH}', 1, 1, NULL),
            ('{RECORDS[1]}', '{ENTITY}', 'c2', '{{"name": "Bob"}}', '{HASH}', 2, 2, NULL),
            ('{RECORDS[2]}', '{ENTITY}', 'c3', '{{"name": "Cy"}}', '{HASH}', 3, 3, now())
        """,
        first=1,
    ),
    Rows(
        "vectorindex",
        """
        INSERT INTO mastra_engine_vectorindex
            (name, dimension, metric, index_type, storage, language, m, ef_construction)
        VALUES ('docs', 3, 'cosine', 'hnsw', 'vector', 'english', 16, 64)
        """,
        first=2,
    ),
    Rows(
        "embedding",
        """
        CREATE TABLE mastra_engine_embedding_1 (LIKE mastra_engine_embedding INCLUDING ALL);
        CREATE INDEX mastra_engine_embedding_1_text ON mastra_engine_embedding_1
            USING gin (to_tsvector('english'::regconfig, document));
        CREATE INDEX mastra_engine_embedding_1_nearest ON mastra_engine_embedding_1
            USING hnsw ((embedding::vector(3)) vector_cosine_ops);
        ALTER TABLE mastra_engine_embedding
            ATTACH PARTITION mastra_engine_embedding_1 FOR VALUES IN (1);
        INSERT INTO mastra_engine_embedding (index_id, row_id, id, document, metadata, embedding)
        VALUES (1, gen_random_uuid(), 'v1', 'a sled', '{"lang": "en"}', '[1, 0, 0]'),
               (1, gen_random_uuid(), 'v2', 'a boat', '{}', '[0, 1, 0]')
        """,
        first=2,
    ),
    Rows(
        "thread",
        """
        INSERT INTO mastra_engine_thread
            (id, resource_id, title, metadata, message_count, last_position, total_tokens)
        VALUES ('t1', 'ann', 'Sleds', '{"topic": "snow"}', 2, 2, 7)
        """,
        first=3,
    ),
    Rows(
        "message",
        """
        INSERT INTO mastra_engine_message
            (id, thread_id, position, role, content, text, tokens, cum_tokens, metadata, created_at)
        VALUES
            ('m1', 't1', 1, 'user', '[{"type": "text", "text": "Hi"}]', 'Hi', 3, 3, '{}', now()),
            ('m2', 't1', 2, 'assistant', '[{"type": "text", "text": "Yes?"}]', 'Yes?', 4, 7, '{}',
             now())
        """,
        first=3,
    ),
    *(
        Rows(
            table,
            f"""
            INSERT INTO mastra_engine_{table}
                (id, thread_id, idempotency_key, body_hash, last_position, message_count)
            VALUES ('{APPEND}', 't1', 'turn-1', '{HASH}', 2, 2)
            """,
            first=first,
            last=last,
        )
        for table, first, last in (("append", 3, 9), ("idempotentappend", 10, 9999))
    ),
    Rows(
        "workingmemory",
        f"""
        INSERT INTO mastra_engine_workingmemory
            (id, resource_id, thread_id, content, data, version)
        VALUES ('{MEMORIES[0]}', 'ann', NULL, 'likes sleds', '{{"likes": ["sleds"]}}', 2),
               ('{MEMORIES[1]}', 'ann', 't1', 'in a hurry', '{{}}', 1)
        """,
        first=3,
    ),
    Rows(
        "syncrun",
        f"""
        INSERT INTO mastra_engine_syncrun
            (id, sync, connection_id, entity_id, mode, status, params, checkpoint, pages, attempts,
             error, start_rev, started_at, finished_at)
        VALUES
            ('{RUNS[0]}', 'contacts', 'crm-1', '{ENTITY}', 'incremental', 'succeeded', '{{}}',
             '{{"next": 1}}', 1, 1, NULL, 0, now(), now()),
            ('{RUNS[1]}', 'contacts', 'crm-1', '{ENTITY}', 'full', 'failed', '{{}}',
             '{{"next": 2}}', 2, 1, '{{"type": "ValueError", "message": "no", "place": "x.py:1"}}',
             1, now(), now())
        """,
        first=4,
    ),
    Rows(
        "sync",
        f"""
        INSERT INTO mastra_engine_sync
            (id, sync, connection_id, entity_id, mode, checkpoints, last_run_id, last_succeeded_at)
        VALUES ('{SYNC}', 'contacts', 'crm-1', '{ENTITY}', 'full',
                '[{{"params": {{}}, "checkpoint": {{"next": 2}}}}]', '{RUNS[1]}', now())
        """,
        first=14,
    ),
    Rows(
        "syncpage",
        f"""
        INSERT INTO mastra_engine_syncpage (run_id, unchanged)
        VALUES ('{RUNS[1]}', '\\x01'), ('{RUNS[1]}', '\\x02')
        """,
        first=4,
        last=7,
    ),
    *(
        Rows(
            "syncpage",
            f"""
            INSERT INTO mastra_engine_syncpage
                (run_id, number, attempt, created, updated, unchanged, deleted, {column})
            VALUES ('{RUNS[1]}', 1, 1, 1, 0, 0, 0, '\\x01'),
                   ('{RUNS[1]}', 2, 1, 0, 0, 1, 0, '\\x02')
            """,
            first=first,
            last=last,
        )
        for column, first, last in (("found", 8, 9), ("unchanged_revs", 10, 9999))
    ),
    *(
        Rows(
            table,
            f"""
            INSERT INTO mastra_engine_{table} (entity_id, vector_index_id, rev, complete)
            VALUES ('{ENTITY}', 1, 2, true)
            """,
            first=first,
            last=last,
        )
        for table, first, last in (("bookmark", 6, 9), ("indexprogress", 10, 9999))
    ),
    *(
        Rows(
            table,
            f"""
            INSERT INTO mastra_engine_{table} (id, body_hash, {column}, expires_at)
            VALUES ('{IDEMPOTENCY_RECORD}', '{HASH}', '\\x7b7d', now() + interval '1 day')
            """,
            first=first,
            last=last,
        )
        for table, column, first, last in (
            ("answer", "answer", 7, 9),
            ("idempotencyrecord", "response", 10, 9999),
        )
    ),
    Rows(
        "stateitem",
        f"""
        INSERT INTO mastra_engine_stateitem (id, namespace, key, value, version, is_pending)
        VALUES ('{STATE_ITEM}', '{{ann,prefs}}', 'ui', '{{"theme": "dark"}}', 2, true)
        """,
        first=18,
    ),
    Rows(
        "fact",
        f"""
        INSERT INTO mastra_engine_fact
            (id, resource_id, subject, predicate, object, subject_key, predicate_key, object_key,
             aliases, valid_from, ends, ends_known_at, confidence, pinned, many, source_count)
        VALUES ('{FACT}', 'ann', 'Ann', 'likes', 'sleds', '{HASH}', '{HASH}', '{HASH}',
                '{{}}', now(), '{{}}', '{{}}', 1, false, false, 1)
        """,
        first=21,
    ),
    Rows(
        "factsource",
        f"""
        INSERT INTO mastra_engine_factsource (id, fact_id, message_id, quote)
        VALUES ('{FACT_SOURCE}', '{FACT}', 'm1', 'Hi')
        """,
        first=21,
    ),
    Rows(
        "factreading",
        "INSERT INTO mastra_engine_factreading (thread_id, position) VALUES ('t1', 2)",
        first=24,
    ),
    Rows(
        "evaluationcase",
        f"""
        INSERT INTO mastra_engine_evaluationcase (id, target, query, expected_ids)
        VALUES ('{EVALUATION}', 'vectors:docs', 'sled', '{{v1}}')
        """,
        first=25,
    ),
    Rows(
        "evaluationresult",
        f"""
        INSERT INTO mastra_engine_evaluationresult (id, target, case_count, metrics)
        VALUES ('{EVALUATION}', 'vectors:docs', 1, '{{"mrr": {{"value": 1}}}}')
        """,
        first=25,
    ),
)


def rows_at(migration: int) -> Iterator[Rows]:
    """Yield the rows of every table that exists after a migration, in the order to insert them."""
    return (rows for rows in _ROWS if rows.first <= migration <= rows.last)
