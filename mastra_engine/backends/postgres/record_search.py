"""Indexing of records in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from mastra_engine.backends.base.record_search.indexer import delete_passages
from mastra_engine.backends.base.record_search.progress import IndexProgress, IndexProgressStore
from mastra_engine.backends.base.record_search.service import IndexingContract
from mastra_engine.backends.base.records.writer import EntityWriter
from mastra_engine.backends.postgres.records import PostgresRecords
from mastra_engine.backends.postgres.session import RACES, Session
from mastra_engine.backends.postgres.sync_runs import CLOCK
from mastra_engine.exceptions import IndexNotFound, Unavailable
from mastra_engine.models import Entity as EntityRow
from mastra_engine.models import IndexProgress as IndexProgressRow
from mastra_engine.postgres.record_search import read_indexing
from mastra_engine.types import Entity, Indexing
from mastra_engine.validation.vectors import IndexDefinition


class PostgresIndexProgressStore(IndexProgressStore):
    """Rows that are moved by one conditional UPDATE, which locks them until the commit."""

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
                raise IndexNotFound("The entity or its index is deleted") from error
        raise Unavailable("The index is made and deleted by others all the time")

    def claim(self, mark: IndexProgress, seconds: float) -> bool:
        free = Q(claimed_until=None) | Q(claimed_until__lte=CLOCK)
        until = CLOCK + timedelta(seconds=seconds)
        return bool(
            self.session.run(
                lambda: self._at(mark).filter(free).update(claimed_until=until), single=True
            )
        )

    def release(self, mark: IndexProgress) -> None:
        self.session.run(lambda: self._at(mark).update(claimed_until=None), single=True)

    def move(
        self, mark: IndexProgress, *, rev: int, complete: bool, write: Callable[[], None]
    ) -> IndexProgress | None:
        def move() -> bool:
            moved = self._at(mark).update(
                rev=rev, complete=complete, claimed_until=None, updated_at=Now()
            )
            if moved:
                write()
            return bool(moved)

        return replace(mark, rev=rev, complete=complete) if self.session.run(move) else None

    def entities(
        self,
        entity_name: str,
        index_name: str,
        among: Collection[str] | None,
        *,
        behind: bool,
        after: UUID | None,
        limit: int,
    ) -> list[Entity]:
        entities = EntityRow.objects.using(self.session.alias).filter(name=entity_name)
        if behind:
            marks = self._rows().filter(entity=OuterRef("id"), vector_index__name=index_name)
            read = Coalesce(Subquery(marks.values("rev")), 0)
            entities = entities.filter(rev__gt=read)
        if among is not None:
            entities = entities.filter(connection_id__in=among)
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

    def count(self, entity_name: str, index_name: str, among: Collection[str] | None) -> Indexing:
        with self.session.translated():
            return read_indexing(self.session.connection, entity_name, index_name, among)

    def hold(self, entity_id: UUID) -> list[IndexDefinition]:
        """Lock an entity's index_progress, within a transaction, and return what they are in.

        Nobody can make another one; whoever was storing passages has committed them.
        """
        entity = EntityRow.objects.using(self.session.alias).filter(id=entity_id)
        entity.select_for_update().first()
        rows = self._rows().filter(entity=entity_id).select_related("vector_index")
        held = rows.order_by("id").select_for_update(of=("self",))
        return [row.vector_index.to_definition() for row in held]

    def _rows(self) -> QuerySet[IndexProgressRow]:
        return IndexProgressRow.objects.using(self.session.alias)

    def _at(self, mark: IndexProgress) -> QuerySet[IndexProgressRow]:
        """The row, if it is where `mark` says."""
        return self._rows().filter(entity=mark.entity_id, vector_index=mark.index.id, rev=mark.rev)


class PostgresIndexing(PostgresRecords, IndexingContract):
    """Indexing over the tables; passages go with their entity, in its transaction."""

    index_progress: PostgresIndexProgressStore

    def _delete_locked(self, writer: EntityWriter) -> Entity:
        entity = writer.entity
        for index in self.index_progress.hold(entity.id):
            delete_passages(self.vectors, index, entity)
        return super()._delete_locked(writer)
