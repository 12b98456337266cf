"""The progress of a sync run, stored in the transaction of its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.types import SyncRun
from mastra_engine.validation.jsonb import canonical

# One statement, so that a page costs one round trip in addition to those of its records. If another
# worker has taken the run over, no row matches and no page is inserted. A run without a lease has
# ended.
_ADVANCE = """
WITH run AS (
    UPDATE mastra_engine_syncrun
    SET pages = %(pages)s,
        created = %(created)s,
        updated = %(updated)s,
        unchanged = %(unchanged)s,
        deleted = %(deleted)s,
        checkpoint = %(checkpoint)s::jsonb,
        progress = %(progress)s::jsonb,
        status = CASE WHEN %(ends)s THEN 'succeeded' ELSE status END,
        error = CASE WHEN NOT %(ends)s THEN error END,
        log = coalesce(%(log)s::jsonb, log),
        finished_at = CASE WHEN %(ends)s THEN clock_timestamp() END,
        lease_token = CASE WHEN NOT %(ends)s THEN lease_token END,
        lease_expires_at = clock_timestamp() + make_interval(secs => %(lease)s::float8)
    WHERE id = %(id)s AND status = 'running' AND lease_token = %(token)s
      AND (lease_expires_at > clock_timestamp() OR NOT %(alive)s)
    RETURNING id, sync, connection_id, params, pages, attempts, checkpoint
), page AS (
    INSERT INTO mastra_engine_syncpage
        (run_id, number, attempt, created, updated, unchanged, deleted, checkpoint, unchanged_revs)
    SELECT id, pages, attempts, %(page_created)s, %(page_updated)s, %(page_unchanged)s,
           %(page_deleted)s, checkpoint, %(page_unchanged_revs)s::bytea
    FROM run
    WHERE %(page_created)s::int IS NOT NULL
), updated_sync AS (
    UPDATE mastra_engine_sync AS sync
    SET checkpoints = (
            SELECT coalesce(jsonb_agg(other), '[]')
            FROM jsonb_array_elements(sync.checkpoints) AS other
            WHERE other->'params' <> run.params
        ) || jsonb_build_array(
            jsonb_build_object('params', run.params, 'checkpoint', run.checkpoint)
        ),
        last_succeeded_at =
            CASE WHEN %(ends)s THEN clock_timestamp() ELSE sync.last_succeeded_at END,
        updated_at = statement_timestamp()
    FROM run
    WHERE sync.sync = run.sync AND sync.connection_id = run.connection_id
      AND sync.last_run_id = run.id
    RETURNING sync.paused_at IS NOT NULL AS paused
)
SELECT count(*), (SELECT bool_or(paused) FROM updated_sync) FROM run
"""
_PAGE = ("created", "updated", "unchanged", "deleted", "unchanged_revs")


def advance(
    connection: BaseDatabaseWrapper,
    run: SyncRun,
    page: Mapping[str, Any],
    *,
    token: UUID | None,
    alive: bool,
    lease: float | None,
    log: list[dict[str, Any]] | None,
) -> tuple[bool, bool]:
    """Store a run, unless they are empty a page and the log of it, and the checkpoint of its sync.

    Returns whether the token was the run's, and the lease not expired if it must be `alive`; and
    whether the sync is paused.
    """
    params = {
        "id": run.id,
        "pages": run.pages,
        "created": run.created,
        "updated": run.updated,
        "unchanged": run.unchanged,
        "deleted": run.deleted,
        "checkpoint": _json(run.checkpoint),
        "progress": _json(None if run.progress is None else asdict(run.progress)),
        "log": _json(log),
        "token": token,
        "alive": alive,
        "lease": lease,
        "ends": lease is None,
        **{f"page_{column}": page.get(column) for column in _PAGE},
    }
    with connection.cursor() as cursor:
        cursor.execute(_ADVANCE, params)
        stored, paused = cursor.fetchone()
    return bool(stored), bool(paused)


def _json(value: Any) -> str | None:
    return None if value is None else canonical(value).decode()
