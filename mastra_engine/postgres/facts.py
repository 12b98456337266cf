"""Statements that read and write facts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.filters.ast import Node
from mastra_engine.postgres.compile import TRUE, Sql, both, where
from mastra_engine.postgres.prepared import server_cursor
from mastra_engine.postgres.rows import as_values, columns_of, read_rows
from mastra_engine.types import Fact, FactAction, FactSource
from mastra_engine.validation.sizes import fitting, page_bytes

#: The document that filters apply to.
_DOCUMENT = """jsonb_build_object(
    'subject', subject, 'predicate', predicate, 'object', object, 'confidence', confidence,
    'aliases', to_jsonb(aliases), 'pinned', pinned, 'many', many, 'reason', reason
)"""
_ROW = columns_of(Fact)
_CLAIM = "subject_key, predicate_key, object_key"

_CURRENT = "superseded_at IS NULL AND retracted_at IS NULL"

# The target list is computed after the function in FROM, so that the time is that of the lock.
_NOW = "SELECT clock_timestamp() FROM pg_advisory_xact_lock(hashtextextended(%s, %s))"
_FACTS = 0x66616374

# The locks keep the rows until the transaction ends: a deletion waits, and then finds the sources
# that refer to them. A message stays with its resource, since the thread is locked as well.
_LOCK_MESSAGES = """
SELECT message.id FROM mastra_engine_message AS message
JOIN mastra_engine_thread AS thread ON thread.id = message.thread_id
WHERE message.id = ANY(%s) AND thread.resource_id = %s
ORDER BY message.id FOR KEY SHARE
"""
# A tombstone is an update, which FOR KEY SHARE would let pass.
_LOCK_RECORDS = """
SELECT record.id FROM mastra_engine_record AS record
JOIN mastra_engine_entity AS entity ON entity.id = record.entity_id
WHERE record.id = ANY(%s) AND record.deleted_at IS NULL
  AND (%s::text[] IS NULL OR entity.connection_id = ANY(%s))
ORDER BY record.id FOR SHARE OF record
"""

# The columns of the function's fact are read once; see migration 0023.
_REMEMBER = f"""
SELECT {_ROW}, action, written FROM (
    SELECT action, written, (fact).* FROM mastra_engine_remember_fact(
        %(resource_id)s, {_FACTS}, %(lock_wait)s, %(id)s, %(subject)s, %(predicate)s, %(object)s,
        %(subject_key)s, %(predicate_key)s, %(object_key)s, %(valid_from)s, %(valid_to)s,
        %(confidence)s, %(pinned)s, %(many)s, %(messages)s, %(records)s, %(connections)s,
        %(sources)s
    )
) AS remembered
WHERE action IS NOT NULL
"""

# A subject may have become the alias of another one. The last step of each walk has its subject.
# Aliases do not lead in a circle; see Subjects. Keys differ between resources. A condition on the
# resource would let the planner read all facts of a resource in their order instead of the index of
# aliases.
_RESOLVE = """
WITH RECURSIVE walk AS (
    SELECT key AS name_key, key AS subject_key, NULL::text AS subject, 0 AS steps
    FROM unnest(%s::uuid[]) AS key
    UNION ALL
    SELECT walk.name_key, next.subject_key, next.subject, walk.steps + 1
    FROM walk CROSS JOIN LATERAL (
        SELECT subject_key, subject FROM mastra_engine_fact
        WHERE alias_keys @> ARRAY[walk.subject_key]
        ORDER BY created_at, id LIMIT 1
    ) AS next
)
SELECT DISTINCT ON (name_key) name_key, subject_key, subject FROM walk WHERE steps > 0
ORDER BY name_key, steps DESC
"""

# The versions are locked, so that a deletion of their sources waits, or has been seen already.
# OFFSET 0 and no condition but on keys leave the planner no choice but the index of claims.
_LOCK_VERSIONS = f"""
SELECT version.* FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[]) AS of (subject, predicate, object)
CROSS JOIN LATERAL (
    SELECT {_ROW}, {_CLAIM} FROM mastra_engine_fact
    WHERE subject_key = of.subject AND predicate_key = of.predicate
      AND object_key = of.object
      AND ({_CURRENT} OR coalesce(valid_to, 'infinity') > %s)
    ORDER BY created_at, id
    OFFSET 0 FOR NO KEY UPDATE
) AS version
"""
_LOCK_CURRENT = f"""
SELECT version.* FROM unnest(%s::uuid[], %s::uuid[]) AS of (subject, predicate)
CROSS JOIN LATERAL (
    SELECT {_ROW}, {_CLAIM} FROM mastra_engine_fact
    WHERE subject_key = of.subject AND predicate_key = of.predicate AND {_CURRENT}
    OFFSET 0 FOR NO KEY UPDATE
) AS version
ORDER BY version.created_at, version.id
"""
_LOCK_VERSION = f"""
SELECT {_ROW}, {_CLAIM} FROM mastra_engine_fact WHERE id = %s FOR NO KEY UPDATE
"""

# One statement changes versions and adds new ones. The new ones are inserted after the others were
# changed: two current versions of a claim would violate its constraint. Sources that a version has
# already are neither added nor counted again.
_WRITE = """
WITH change AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(facts)s::json) AS change (
        id uuid, resource_id text, subject text, predicate text, object text,
        subject_key uuid, predicate_key uuid, object_key uuid, aliases text[], alias_keys uuid[],
        valid_from timestamptz, valid_to timestamptz, ends timestamptz[], known_at timestamptz,
        created_at timestamptz, superseded_at timestamptz, retracted_at timestamptz, reason text,
        confidence float8, pinned boolean, many boolean
    )
), source AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(sources)s::json) AS source (
        id uuid, fact_id uuid, message_id text, record_id uuid, quote text
    )
    WHERE NOT EXISTS (
        SELECT FROM mastra_engine_factsource AS stored
        WHERE stored.fact_id = source.fact_id AND stored.quote = source.quote
          AND stored.message_id IS NOT DISTINCT FROM source.message_id
          AND stored.record_id IS NOT DISTINCT FROM source.record_id
    )
), changed AS (
    UPDATE mastra_engine_fact AS fact
    SET aliases = change.aliases,
        is_indexed = fact.is_indexed AND fact.aliases = change.aliases,
        alias_keys = nullif(coalesce(fact.alias_keys, '{}') || change.alias_keys, '{}'),
        valid_to = change.valid_to,
        ends = fact.ends || change.ends,
        ends_known_at =
            fact.ends_known_at || array_fill(known_at, ARRAY[cardinality(change.ends)]),
        superseded_at = change.superseded_at,
        retracted_at = change.retracted_at,
        reason = change.reason,
        pinned = change.pinned,
        source_count =
            source_count + (SELECT count(*) FROM source WHERE source.fact_id = fact.id)
    FROM change WHERE fact.id = change.id AND change.subject_key IS NULL
    RETURNING fact.id
), created AS (
    INSERT INTO mastra_engine_fact (
        id, resource_id, subject, predicate, object, subject_key, predicate_key, object_key,
        aliases, alias_keys, valid_from, valid_to, ends, ends_known_at, created_at, superseded_at,
        retracted_at, reason, confidence, pinned, many, source_count
    )
    SELECT id, resource_id, subject, predicate, object, subject_key, predicate_key, object_key,
           aliases, nullif(alias_keys, '{}'), valid_from, valid_to, ends,
           array_fill(known_at, ARRAY[cardinality(ends)]), created_at, superseded_at,
           retracted_at, reason, confidence, pinned, many,
           (SELECT count(*) FROM source WHERE source.fact_id = change.id)
    FROM change
    WHERE subject_key IS NOT NULL AND (SELECT count(*) FROM changed) IS NOT NULL
)
INSERT INTO mastra_engine_factsource (id, fact_id, message_id, record_id, quote)
SELECT id, fact_id, message_id, record_id, quote FROM source
"""

# A page ends with the fact that fills it in bytes, and the next one tells that others follow. The
# window has no ORDER BY: it sees the rows in the order of the page. Large texts are read last, so
# that those of other facts are not read.
_PAGE = f"""
SELECT {_ROW}, size FROM (
    SELECT *, sum(size) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS bytes_before
    FROM (
        SELECT {_ROW},
               octet_length(subject) + octet_length(predicate) + octet_length(object)
                   + octet_length(reason) + octet_length(array_to_string(aliases, '')) AS size
        FROM mastra_engine_fact WHERE {{condition}} ORDER BY {{order}} LIMIT {{limit}}
    ) AS page
) AS sized
WHERE coalesce(bytes_before, 0) < {{most}}
"""
_FIND = f"""
SELECT {_ROW} FROM mastra_engine_fact
WHERE id = ANY(%s) AND (%s::text[] IS NULL OR resource_id = ANY(%s))
"""
_VERSIONS = f"""
SELECT {_ROW} FROM mastra_engine_fact
WHERE (resource_id, {_CLAIM}) = (
    SELECT resource_id, {_CLAIM} FROM mastra_engine_fact WHERE id = %s
)
ORDER BY created_at, id
"""
_SOURCES = """
SELECT fact_id, message_id, record_id, quote FROM mastra_engine_factsource
WHERE fact_id = ANY(%s) ORDER BY fact_id, id
"""
# The end of a claim tells it from the claims of others, so the server that computes it returns it.
_CLAIM_READING = """
UPDATE mastra_engine_factreading
SET claimed_until = clock_timestamp() + make_interval(secs => %s)
WHERE thread_id = %s AND position = %s
  AND (%s OR claimed_until IS NULL OR claimed_until <= clock_timestamp())
RETURNING claimed_until
"""
# Rows are locked in the order of their ids, so that two processes that index the same facts cannot
# deadlock.
_MARK_INDEXED = """
WITH indexed AS (
    SELECT fact.id FROM mastra_engine_fact AS fact
    JOIN unnest(%s::uuid[], %s::integer[]) AS of (id, aliases) ON fact.id = of.id
    WHERE cardinality(fact.aliases) = of.aliases
    ORDER BY fact.id FOR NO KEY UPDATE OF fact
)
UPDATE mastra_engine_fact AS fact SET is_indexed = true
FROM indexed WHERE fact.id = indexed.id
RETURNING fact.id
"""
_DELETE = "DELETE FROM mastra_engine_fact WHERE id = ANY(%s)"

# Of the ends that were known, any one at or before the time excludes the version. Ends became known
# in their order: most often the first one was not known yet, which takes no subquery to see.
_UNENDED = """(ends_known_at[1] > %s OR NOT EXISTS (
    SELECT FROM unnest(ends, ends_known_at) AS known (valid_to, known_at)
    WHERE known.valid_to <= {at} AND known.known_at <= %s
))"""


def lock_resource(connection: BaseDatabaseWrapper, resource_id: str) -> datetime:
    """Wait for the lock that writers of a resource's facts hold; return the time afterwards."""
    ((moment,),) = read_rows(connection, _NOW, [resource_id, _FACTS])
    locked_at: datetime = moment
    return locked_at


def remember(
    connection: BaseDatabaseWrapper,
    fact: Mapping[str, Any],
    sources: Sequence[dict[str, Any]],
    *,
    connection_ids: Collection[str] | None,
    lock_wait: str | None,
) -> tuple[FactAction, Fact, Sequence[UUID]] | None:
    """Remember a fact by the function of migration 0023; return None if it refuses.

    The last item has the ids of the versions that were written, in the order of remembering.
    """
    params = {
        **fact,
        "lock_wait": lock_wait,
        "messages": sorted({source["message_id"] for source in sources} - {None}) or None,
        "records": sorted({source["record_id"] for source in sources} - {None}) or None,
        "connections": None if connection_ids is None else sorted(connection_ids),
        "sources": orjson.dumps(sources).decode() if sources else None,
    }
    rows = read_rows(connection, _REMEMBER, params)
    if not rows:
        return None
    *_, action, written = rows[0]
    return action, as_values(Fact, rows)[0], written


def lock_messages(
    connection: BaseDatabaseWrapper, ids: Sequence[str], resource_id: str
) -> set[str]:
    """Lock messages of a resource against deletion; return the ids of those that exist."""
    return {id for (id,) in read_rows(connection, _LOCK_MESSAGES, [list(ids), resource_id])}


def lock_records(
    connection: BaseDatabaseWrapper, ids: Sequence[UUID], connection_ids: Collection[str] | None
) -> set[UUID]:
    """Lock live records of connections against deletion; return the ids of those that exist."""
    owners = None if connection_ids is None else sorted(connection_ids)
    return {id for (id,) in read_rows(connection, _LOCK_RECORDS, [list(ids), owners, owners])}


def resolve(
    connection: BaseDatabaseWrapper, keys: Collection[UUID]
) -> list[tuple[UUID, UUID, str]]:
    """Return rows of (key of a name, key of its subject, subject) of names that are aliases."""
    return read_rows(connection, _RESOLVE, [list(keys)])


def lock_versions(
    connection: BaseDatabaseWrapper,
    claims: Collection[tuple[UUID, UUID, UUID]],
    *,
    valid_after: datetime,
) -> list[tuple[tuple[UUID, UUID, UUID], Fact]]:
    """Lock the current versions of claims and those valid after a time; return them."""
    columns = [list(column) for column in zip(*sorted(claims), strict=True)]
    rows = read_rows(connection, _LOCK_VERSIONS, [*columns, valid_after])
    return list(zip((row[-3:] for row in rows), as_values(Fact, rows), strict=True))


def lock_current(
    connection: BaseDatabaseWrapper, claims: Collection[tuple[UUID, UUID]]
) -> list[tuple[tuple[UUID, UUID, UUID], Fact]]:
    """Lock the current versions of claims by subject and predicate; return them."""
    columns = [list(column) for column in zip(*sorted(claims), strict=True)]
    rows = read_rows(connection, _LOCK_CURRENT, columns)
    return list(zip((row[-3:] for row in rows), as_values(Fact, rows), strict=True))


def lock_version(
    connection: BaseDatabaseWrapper, id: UUID
) -> tuple[tuple[UUID, UUID, UUID], Fact] | None:
    """Lock a version and return it with the keys of its claim, or None."""
    rows = read_rows(connection, _LOCK_VERSION, [id])
    return (rows[0][-3:], as_values(Fact, rows)[0]) if rows else None


def write(
    connection: BaseDatabaseWrapper,
    facts: Sequence[dict[str, Any]],
    sources: Sequence[dict[str, Any]],
) -> None:
    """Insert facts that have keys, change the others, and add sources to them."""
    params = {"facts": orjson.dumps(facts).decode(), "sources": orjson.dumps(sources).decode()}
    with server_cursor(connection) as cursor:
        cursor.execute(_WRITE, params)


def find(
    connection: BaseDatabaseWrapper, ids: Sequence[UUID], resource_ids: Collection[str] | None
) -> list[Fact]:
    """Return the facts of some resources by their ids, in any order."""
    owners = None if resource_ids is None else sorted(resource_ids)
    return as_values(Fact, read_rows(connection, _FIND, [list(ids), owners, owners]))


def list_facts(
    connection: BaseDatabaseWrapper,
    condition: Sql,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
    one_plan: bool,
) -> tuple[list[Fact], bool]:
    """Return a page of facts by the time of remembering, and whether others follow.

    `one_plan` says that the statement has one good plan, whatever its parameters.
    """
    if after is not None:
        condition = both(condition, ("(created_at, id) > (%s, %s)", list(after)))
    return _page(connection, condition, "created_at, id", limit=limit, one_plan=one_plan)


def list_current(connection: BaseDatabaseWrapper, condition: Sql, *, limit: int) -> list[Fact]:
    """Return a page of facts, pinned ones first, then those remembered last."""
    order = "pinned DESC, created_at DESC, id DESC"
    page, _ = _page(connection, condition, order, limit=limit, one_plan=True)
    return page


def _page(
    connection: BaseDatabaseWrapper, condition: Sql, order: str, *, limit: int, one_plan: bool
) -> tuple[list[Fact], bool]:
    """Return a page of facts, and whether others follow."""
    sql, params = condition
    most = page_bytes(limit)
    statement = _PAGE.format(condition=sql, order=order, limit=limit + 1, most=most)
    rows = read_rows(connection, statement, params, one_plan=one_plan)
    size = min(limit, fitting((row[-1] for row in rows), most))
    return as_values(Fact, rows[:size]), size < len(rows)


def list_versions(connection: BaseDatabaseWrapper, id: UUID) -> list[Fact]:
    """Return the versions of a fact's claim, oldest first."""
    return as_values(Fact, read_rows(connection, _VERSIONS, [id]))


def list_sources(
    connection: BaseDatabaseWrapper, fact_ids: Sequence[UUID]
) -> dict[UUID, list[FactSource]]:
    """Return the sources of facts in the order in which they were added."""
    sources: dict[UUID, list[FactSource]] = {}
    for fact_id, *source in read_rows(connection, _SOURCES, [list(fact_ids)]):
        sources.setdefault(fact_id, []).append(FactSource(*source))
    return sources


def delete_facts(connection: BaseDatabaseWrapper, ids: Sequence[UUID]) -> int:
    """Delete facts; return how many there were. Sources and vectors go with them."""
    with connection.cursor() as cursor:
        cursor.execute(_DELETE, [list(ids)])
        return int(cursor.rowcount)


def claim_reading(
    connection: BaseDatabaseWrapper,
    thread_id: str,
    position: int,
    seconds: float,
    *,
    takeover: bool,
) -> datetime | None:
    """Claim the messages of a thread after a position; return the end of the claim, or None."""
    rows = read_rows(connection, _CLAIM_READING, [seconds, thread_id, position, takeover])
    return rows[0][0] if rows else None


def list_unindexed(
    connection: BaseDatabaseWrapper, resource_ids: Collection[str] | None, *, limit: int
) -> list[Fact]:
    """Return facts of some resources that wait for their vectors."""
    sql, params = of_resources(resource_ids)
    rows = f"SELECT {_ROW} FROM mastra_engine_fact WHERE NOT is_indexed AND {sql} LIMIT {limit}"
    return as_values(Fact, read_rows(connection, rows, params, one_plan=False))


def mark_indexed(
    connection: BaseDatabaseWrapper, versions: Sequence[tuple[UUID, int]]
) -> set[UUID]:
    """Lock facts with those numbers of aliases, record that they are indexed, return their ids."""
    columns = [list(column) for column in zip(*versions, strict=True)]
    return {id for (id,) in read_rows(connection, _MARK_INDEXED, columns)}


def mark_all_unindexed(connection: BaseDatabaseWrapper) -> None:
    """Record that all facts wait to be indexed."""
    with server_cursor(connection) as cursor:
        cursor.execute("UPDATE mastra_engine_fact SET is_indexed = false")


def vectors_of_facts(condition: Sql, *, key: str) -> Sql:
    """Return the condition that a vector is of a fact that satisfies a condition.

    `key` is the metadata key of the fact's id.
    """
    sql, params = condition
    fact = f"mastra_engine_fact.id = (metadata ->> %s)::uuid AND {sql}"
    return f"EXISTS (SELECT FROM mastra_engine_fact WHERE {fact})", [key, *params]


def of_resources(resource_ids: Collection[str] | None) -> Sql:
    """Return the condition that facts are about some resources; None is all.

    Those of one resource can be read from an index in their order.
    """
    if resource_ids is None:
        return TRUE
    if len(resource_ids) == 1:
        return "resource_id = %s", list(resource_ids)
    return "resource_id = ANY(%s)", [sorted(resource_ids)]


def of_claims(subject_keys: Collection[UUID] | None, predicate_key: UUID | None) -> Sql:
    """Return the condition that facts have keys; None is any."""
    conditions: list[Sql] = []
    if subject_keys is not None:
        conditions.append(("subject_key = ANY(%s)", [list(subject_keys)]))
    if predicate_key is not None:
        conditions.append(("predicate_key = %s", [predicate_key]))
    return both(*conditions)


def true_at(valid_at: datetime | None, known_at: datetime | None) -> Sql:
    """Return the condition that facts were true at a time, as was known at another; None is now."""
    at = "statement_timestamp()" if valid_at is None else "%s::timestamptz"
    moment = [] if valid_at is None else [valid_at]
    begun: Sql = (f"valid_from <= {at}", moment)
    if known_at is None:  # The end that is known now is in an index.
        return both(begun, (f"coalesce(valid_to, 'infinity') > {at}", moment))
    return both(
        begun, remembered_by(known_at), (_UNENDED.format(at=at), [known_at, *moment, known_at])
    )


def remembered_by(known_at: datetime | None) -> Sql:
    """Return the condition that facts were known at a time; None is now."""
    return TRUE if known_at is None else ("created_at <= %s", [known_at])


def on_document(node: Node) -> Sql:
    """Return the condition of a filter on the document of a fact."""
    return where(node, {"data": _DOCUMENT})
