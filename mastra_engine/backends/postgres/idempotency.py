"""Idempotency records in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from mastra_engine import failpoints
from mastra_engine.backends.base.idempotency.store import IdempotencyStore, StoredResponse
from mastra_engine.backends.postgres.session import Session
from mastra_engine.exceptions import InFlight
from mastra_engine.models import IdempotencyRecord
from mastra_engine.postgres.expressions import chosen_once
from mastra_engine.postgres.locks import try_lock_call

#: More than the one row that each call adds, so that expired rows become fewer.
DELETED_PER_CALL = 4


class PostgresIdempotencyStore(IdempotencyStore):
    """Rows of stored responses; each is written under an advisory lock."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run_exclusively(self, id: UUID, call: Callable[[], bytes]) -> bytes:
        def run() -> bytes:
            if not try_lock_call(self.session.connection, id):
                raise InFlight
            return call()

        return self.session.run(run)

    def find(self, id: UUID) -> StoredResponse | None:
        # This is a separate statement because the snapshot of the locking statement may have been
        # taken before the previous holder of the lock committed.
        row = self._records().filter(id=id, expires_at__gt=Now()).first()
        if row is None:
            return None
        return StoredResponse(
            row.body_hash.bytes, None if row.response is None else bytes(row.response)
        )

    def save(self, id: UUID, response: StoredResponse, *, seconds: float) -> None:
        failpoints.hit("acted")
        row = IdempotencyRecord(
            id=id,
            body_hash=UUID(bytes=response.body_hash),
            response=response.response,
            expires_at=Now() + timedelta(seconds=seconds),
        )
        # There may be an expired row of the same id, which this one replaces.
        self._records().bulk_create(
            [row],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["body_hash", "response", "expires_at"],
        )
        self._delete_some_expired()
        failpoints.hit("response_stored")

    def delete_expired(self) -> int:
        with self.session.translated():
            return self._expired().delete()[0]

    def erase_responses(self) -> None:
        self._records().filter(response__isnull=False).update(response=None)

    def _delete_some_expired(self) -> None:
        # Rows that another call is deleting are skipped, so that calls do not wait for each other.
        rows = self._expired().order_by("expires_at").select_for_update(skip_locked=True)
        ids = rows.values("id")[:DELETED_PER_CALL]
        self._records().filter(chosen_once("id", ids)).delete()

    def _expired(self) -> QuerySet[IdempotencyRecord]:
        return self._records().filter(expires_at__lte=Now())

    def _records(self) -> QuerySet[IdempotencyRecord]:
        return IdempotencyRecord.objects.using(self.session.alias)
