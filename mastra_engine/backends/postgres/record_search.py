"""The progress of record indexes in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from mastra_engine.backends.base.record_search.store import IndexProgress, IndexProgressStore
from mastra_engine.backends.postgres.session import RACES, Session
from mastra_engine.backends.postgres.sync_runs import CLOCK
from mastra_engine.exceptions import IndexNotFound, Unavailable
from mastra_engine.models import Entity as EntityRow
from mastra_engine.models import IndexProgress as IndexProgressRow
from mastra_engine.postgres.record_search import read_indexing
from mastra_engine.types import Entity, Indexing
from mastra_engine.validation.vectors import IndexDefinition


class PostgresIndexProgressStore(IndexProgressStore):
    """Rows that a conditional UPDATE moves, which also locks them until the commit."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def open(self, entity_id: UUID, index: IndexDefinition) -> IndexProgress:
        new = IndexProgressRow(entity_id=entity_id, vector_index_id=index.id)
        for _ in range(RACES):
            with self.session.translated():
                row = self._rows().filter(entity=entity_id, vector_index=index.id).first()
            if row is not None:
                return IndexProgress(entity_id, index, row.rev, row.complete)
            try:
                self.session.run(lambda: self._rows().bulk_create([new], ignore_conflicts=True))
            except IntegrityError as error:
                raise IndexNotFound(
                    f"The entity {entity_id} or the index {index.name!r} was deleted"
                ) from error
        raise Unavailable(
            f"The index {index.name!r} was deleted by other transactions {RACES} times in a row"
        )

    def claim(self, progress: IndexProgress, seconds: float) -> bool:
        free = Q(claimed_until=None) | Q(claimed_until__lte=CLOCK)
        until = CLOCK + timedelta(seconds=seconds)
        return bool(
            self.session.run(
                lambda: self._at(progress).filter(free).update(claimed_until=until), single=True
            )
        )

    def release(self, progress: IndexProgress) -> None:
        self.session.run(lambda: self._at(progress).update(claimed_until=None), single=True)

    def move(
        self, progress: IndexProgress, *, rev: int, complete: bool, write: Callable[[], None]
    ) -> IndexProgress | None:
        def move() -> bool:
            moved = self._at(progress).update(
                rev=rev, complete=complete, claimed_until=None, updated_at=Now()
            )
            if moved:
                write()
            return bool(moved)

        return replace(progress, rev=rev, complete=complete) if self.session.run(move) else None

    def entities(
        self,
        entity_name: str,
        index_name: str,
        connection_ids: Collection[str] | None,
        *,
        behind: bool,
        after: UUID | None,
        limit: int,
    ) -> list[Entity]:
        entities = EntityRow.objects.using(self.session.alias).filter(name=entity_name)
        if behind:
            progress = self._rows().filter(entity=OuterRef("id"), vector_index__name=index_name)
            read = Coalesce(Subquery(progress.values("rev")), 0)
            entities = entities.filter(rev__gt=read)
        if connection_ids is not None:
            entities = entities.filter(connection_id__in=connection_ids)
        if after is not None:
            entities = entities.filter(id__gt=after)
        with self.session.translated():
            return [row.to_value() for row in entities.order_by("id")[:limit]]

    def read(self, entity_ids: list[UUID]) -> dict[tuple[UUID, str], IndexProgress]:
        rows = self._rows().filter(entity__in=entity_ids).select_related("vector_index")
        with self.session.translated():
            return {
                (row.entity_id, row.vector_index.name): IndexProgress(
                    row.entity_id, row.vector_index.to_definition(), row.rev, row.complete
                )
                for row in rows
            }

    def count(
        self, entity_name: str, index_name: str, connection_ids: Collection[str] | None
    ) -> Indexing:
        with self.session.translated():
            return read_indexing(self.session.connection, entity_name, index_name, connection_ids)

    def lock(self, entity_id: UUID) -> list[IndexDefinition]:
        # Locking the entity's row prevents other transactions from inserting progress rows, which
        # refer to it. A transaction that stores chunks has updated its progress row, so locking
        # these rows waits for it to commit.
        entity = EntityRow.objects.using(self.session.alias).filter(id=entity_id)
        entity.select_for_update().first()
        rows = self._rows().filter(entity=entity_id).select_related("vector_index")
        locked = rows.order_by("id").select_for_update(of=("self",))
        return [row.vector_index.to_definition() for row in locked]

    def _rows(self) -> QuerySet[IndexProgressRow]:
        return IndexProgressRow.objects.using(self.session.alias)

    def _at(self, progress: IndexProgress) -> QuerySet[IndexProgressRow]:
        """Select the row, unless it has moved since `progress` was read."""
        return self._rows().filter(
            entity=progress.entity_id, vector_index=progress.index.id, rev=progress.rev
        )
