"""Acting once, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from mastra_engine.backends.base.once import Answered, OnceContract
from mastra_engine.backends.postgres.session import Session
from mastra_engine.exceptions import InFlight
from mastra_engine.models import Answer
from mastra_engine.pausing import reached
from mastra_engine.postgres.expressions import chosen_once
from mastra_engine.postgres.locks import try_lock_call

#: More than the one that each call adds, so that what is over gets less and less.
SWEPT = 4


class PostgresOnce(OnceContract):
    """Answers in a table, each made under an advisory lock."""

    session: Session

    def expire_answers(self) -> int:
        with self.session.translated():
            return self._expired().delete()[0]

    def _alone(self, id: UUID, answer: Callable[[], bytes]) -> bytes:
        def run() -> bytes:
            if not try_lock_call(self.session.connection, id):
                raise InFlight
            return answer()

        return self.session.run(run)

    def _answered(self, id: UUID) -> Answered | None:
        # A statement of its own: that of the lock may not see yet who had it before.
        row = self._answers().filter(id=id, expires_at__gt=Now()).first()
        if row is None:
            return None
        return Answered(row.body_hash.bytes, None if row.answer is None else bytes(row.answer))

    def _keep(self, id: UUID, answered: Answered, *, seconds: float) -> None:
        reached("acted")
        row = Answer(
            id=id,
            body_hash=UUID(bytes=answered.body_hash),
            answer=answered.answer,
            expires_at=Now() + timedelta(seconds=seconds),
        )
        self._answers().bulk_create(
            [row],  # in place of one whose time is over
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["body_hash", "answer", "expires_at"],
        )
        self._sweep()
        reached("answer_kept")

    def _sweep(self) -> None:
        some = self._expired().order_by("expires_at").select_for_update(skip_locked=True)
        self._answers().filter(chosen_once("id", some.values("id")[:SWEPT])).delete()

    def _empty_answers(self) -> None:
        """Erase what answers say; that something was done stays known."""
        self._answers().filter(answer__isnull=False).update(answer=None)

    def _expired(self) -> QuerySet[Answer]:
        return self._answers().filter(expires_at__lte=Now())

    def _answers(self) -> QuerySet[Answer]:
        return Answer.objects.using(self.session.alias)
