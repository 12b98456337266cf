"""Acting once, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from mastra_engine import failpoints
from mastra_engine.backends.base.idempotency import Idempotency, StoredResponse
from mastra_engine.backends.postgres.session import Session
from mastra_engine.exceptions import InFlight
from mastra_engine.models import IdempotencyRecord
from mastra_engine.postgres.expressions import chosen_once
from mastra_engine.postgres.locks import try_lock_call

#: More than the one that each call adds, so that what is over gets less and less.
SWEPT = 4


class PostgresIdempotency(Idempotency):
    """Answers in a table, each made under an advisory lock."""

    session: Session

    def expire_idempotency_records(self) -> int:
        with self.session.translated():
            return self._expired().delete()[0]

    def _alone(self, id: UUID, answer: Callable[[], bytes]) -> bytes:
        def run() -> bytes:
            if not try_lock_call(self.session.connection, id):
                raise InFlight
            return answer()

        return self.session.run(run)

    def _find_response(self, id: UUID) -> StoredResponse | None:
        # A statement of its own: that of the lock may not see yet who had it before.
        row = self._records().filter(id=id, expires_at__gt=Now()).first()
        if row is None:
            return None
        return StoredResponse(
            row.body_hash.bytes, None if row.response is None else bytes(row.response)
        )

    def _keep(self, id: UUID, answered: StoredResponse, *, seconds: float) -> None:
        failpoints.hit("acted")
        row = IdempotencyRecord(
            id=id,
            body_hash=UUID(bytes=answered.body_hash),
            response=answered.response,
            expires_at=Now() + timedelta(seconds=seconds),
        )
        self._records().bulk_create(
            [row],  # in place of one whose time is over
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["body_hash", "response", "expires_at"],
        )
        self._sweep()
        failpoints.hit("response_stored")

    def _sweep(self) -> None:
        some = self._expired().order_by("expires_at").select_for_update(skip_locked=True)
        self._records().filter(chosen_once("id", some.values("id")[:SWEPT])).delete()

    def _erase_responses(self) -> None:
        """Erase what answers say; that something was done stays known."""
        self._records().filter(response__isnull=False).update(response=None)

    def _expired(self) -> QuerySet[IdempotencyRecord]:
        return self._records().filter(expires_at__lte=Now())

    def _records(self) -> QuerySet[IdempotencyRecord]:
        return IdempotencyRecord.objects.using(self.session.alias)
