"""Entities and their records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import path

from mastra_engine.api.operations import Deleted, Example, operation
from mastra_engine.api.parsers import JsonLinesParser, JsonParser
from mastra_engine.api.views import EngineView
from mastra_engine.backends.base import MastraEngine
from mastra_engine.types import (
    Changes,
    Entity,
    Page,
    QueryOptions,
    Record,
    RecordMatch,
    UpsertResult,
)

_ID = "0196b7d2-2f4b-7c1e-9a53-0242ac120002"
_TIME = "2026-01-02T03:04:05Z"
_CONTACTS = {"entity_id": _ID}
_ENTITY = {
    "id": _ID,
    "name": "Contacts",
    "connection_id": "7",
    "last_sync_id": "page-1",
    "rev": 2,
    "created_at": _TIME,
    "updated_at": _TIME,
}
_ALICE = {
    "id": _ID,
    "entity_id": _ID,
    "entity_type": "Contacts",
    "external_id": "c1",
    "data": {"age": 34, "name": "Alice"},
    "rev": 1,
    "created_at": _TIME,
    "updated_at": _TIME,
    "deleted_at": None,
}


class EntitiesView(EngineView):
    @operation(
        MastraEngine.list_entities,
        "view_entity",
        example=Example(answer={"items": [_ENTITY], "next_cursor": None}),
    )
    def get(self, **given: Any) -> Page[Entity]:
        """List entities, oldest first."""
        return self.engine.list_entities(**given)

    @operation(
        MastraEngine.create_entity,
        "add_entity",
        fills=("connection_id",),
        status=201,
        example=Example(
            body={"name": "Notes"},
            answer={**_ENTITY, "name": "Notes", "last_sync_id": None, "rev": 0},
        ),
    )
    def post(self, **given: Any) -> Entity:
        """Create an entity; a connection has one of each name."""
        return self.engine.create_entity(**given)


class EntityView(EngineView):
    @operation(
        MastraEngine.get_entity_by_id,
        "view_entity",
        name="get_entity",
        without=("id",),
        example=Example(path=_CONTACTS, answer=_ENTITY),
    )
    def get(self, entity_id: str) -> Entity:
        """Read an entity."""
        return self.engine.get_entity_by_id(id=entity_id)

    @operation(
        MastraEngine.delete_entity_by_id,
        "delete_entity",
        name="delete_entity",
        without=("id",),
        example=Example(path=_CONTACTS, answer=_ENTITY),
    )
    def delete(self, entity_id: str) -> Entity:
        """Delete an entity with all that hangs on it."""
        return self.engine.delete_entity_by_id(id=entity_id)


class QueryingView(EngineView):
    def names(self, entity_id: str) -> dict[str, str]:
        """Return what a query calls an entity by; raises EntityNotFound."""
        entity = self.engine.get_entity_by_id(id=entity_id)
        return {"entity_name": entity.name, "connection_id": entity.connection_id}

    def queried(self, entity_id: str, options: Any) -> Page[Record]:
        return self.engine.get_records(**self.names(entity_id), options=options)


class RecordsView(QueryingView):
    parser_classes = [JsonParser, JsonLinesParser]

    @operation(
        QueryOptions,
        "view_record",
        name="list_records",
        without=("filters", "sort", "offset"),
        example=Example(
            path=_CONTACTS,
            query={"limit": "10"},
            answer={
                "items": [
                    _ALICE,
                    {**_ALICE, "external_id": "c2", "data": {"age": 17, "name": "Bob"}, "rev": 2},
                ],
                "next_cursor": None,
            },
        ),
    )
    def get(self, entity_id: str, **options: Any) -> Page[Record]:
        """List an entity's records by `external_id`."""
        return self.queried(entity_id, options)

    @operation(
        MastraEngine.upsert_records,
        "add_record",
        "change_record",
        without=("entity_type", "connection_id"),
        lines="records",
        example=Example(
            path=_CONTACTS,
            body={
                "records": [
                    {"external_id": "c1", "data": {"name": "Alice", "age": 34}},
                    {"external_id": "c3", "data": {"name": "Carol"}},
                ],
                "mode": "merge",
            },
            answer={"created": 1, "updated": 0, "unchanged": 1},
        ),
    )
    def post(self, **given: Any) -> UpsertResult:
        """Insert or update records, all or none; `merge` merges top-level keys.

        As JSON Lines, one record per line, there may be any number of them.
        """
        return self.engine.upsert_records(**given)


class QueryView(QueryingView):
    @operation(
        QueryOptions,
        "view_record",
        name="query_records",
        searches=True,
        example=Example(
            path=_CONTACTS,
            body={
                "filters": {"age": {"$gte": 18}},
                "sort": [{"field": "name", "direction": "desc"}],
                "limit": 10,
            },
            answer={"items": [_ALICE], "next_cursor": None},
        ),
    )
    def post(self, entity_id: str, **options: Any) -> Page[Record]:
        """Filter, sort and page records."""
        return self.queried(entity_id, options)


class RecordView(EngineView):
    @operation(
        MastraEngine.get_record,
        "view_record",
        example=Example(path={**_CONTACTS, "external_id": "c1"}, answer=_ALICE),
    )
    def get(self, **given: Any) -> Record:
        """Read a record; its `external_id` may have `/` in it."""
        return self.engine.get_record(**given)


class DeleteRecordsView(EngineView):
    @operation(
        MastraEngine.delete_records,
        "delete_record",
        example=Example(
            path=_CONTACTS, body={"external_ids": ["c1", "unknown"]}, answer={"deleted": 1}
        ),
    )
    def post(self, **given: Any) -> Deleted:
        """Make tombstones of records, which the change feed shows."""
        return Deleted(self.engine.delete_records(**given))


class PurgeView(EngineView):
    @operation(
        MastraEngine.purge_deleted_records,
        "delete_record",
        name="purge_records",
        example=Example(path=_CONTACTS, body={"up_to_rev": 2}, answer={"deleted": 0}),
    )
    def post(self, **given: Any) -> Deleted:
        """Drop tombstones that every reader of the change feed has seen.

        Whoever reads on from before the last of them is answered 410 from then on.
        """
        return Deleted(self.engine.purge_deleted_records(**given))


class ExportRecordsView(QueryingView):
    @operation(
        QueryOptions,
        "view_record",
        name="export_records",
        without=("limit", "offset", "cursor"),
        example=Example(
            path=_CONTACTS,
            query={"filters": '{"age": {"$gte": 18}}'},
            answer=f'{{"id":"{_ID}","external_id":"c1","data":{{…}},…}}\n',
        ),
    )
    def get(self, entity_id: str, **options: Any) -> Iterator[Record]:
        """Export records as lines of JSON, however many there are."""
        return self.engine.iter_records(**self.names(entity_id), options=options)


class ChangesView(EngineView):
    @operation(
        MastraEngine.get_changes,
        "view_record",
        example=Example(
            path=_CONTACTS,
            query={"after": "0", "limit": "1"},
            answer={
                "items": [{"action": "added", "record": _ALICE, "rev": 1}],
                "next": 1,
                "more": True,
                "purged": 0,
            },
        ),
    )
    def get(self, **given: Any) -> Changes:
        """Read what changed since a `rev`; read on with `after`, which is the answer's `next`.

        Whoever began from 0 gives its `purged` along.
        """
        return self.engine.get_changes(**given)


class SearchRecordsView(EngineView):
    @operation(
        MastraEngine.search_records,
        "view_record",
        fills=("connection_id",),
        searches=True,
        example=Example(
            body={"query": "Alice", "entity_name": "Contacts", "top_k": 1},
            answer={
                "items": [
                    {
                        "record": _ALICE,
                        "score": 0.5,
                        "passage": "Alice",
                        "index": "people",
                        "chunk": 0,
                        "start": None,
                        "end": None,
                        "metadata": {},
                    }
                ],
                "next_cursor": None,
            },
        ),
    )
    def post(self, **given: Any) -> Page[RecordMatch]:
        """Find records by meaning, where the project declares an index of them."""
        return Page(self.engine.search_records(**given))


urlpatterns = [
    path("search/", SearchRecordsView.as_view()),
    path("entities/", EntitiesView.as_view()),
    path("entities/<str:entity_id>/", EntityView.as_view()),
    path("entities/<str:entity_id>/records/", RecordsView.as_view()),
    path("entities/<str:entity_id>/records/<path:external_id>/", RecordView.as_view()),
    path("entities/<str:entity_id>/query/", QueryView.as_view()),
    path("entities/<str:entity_id>/delete/", DeleteRecordsView.as_view()),
    path("entities/<str:entity_id>/purge/", PurgeView.as_view()),
    path("entities/<str:entity_id>/export/", ExportRecordsView.as_view()),
    path("entities/<str:entity_id>/changes/", ChangesView.as_view()),
]
