"""Views of entities, their records and the change feed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mastra_engine.api.converters import ANY_TEXT
from mastra_engine.api.operations import Counted, Deleted, Example, operation
from mastra_engine.api.parsers import JsonLinesParser, JsonParser
from mastra_engine.api.views import EngineView, route
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
    def get(self, **arguments: Any) -> Page[Entity]:
        """List entities.

        The oldest comes first. Without `connection_id`, the entities of all connections that the
        user may access are listed.
        """
        return self.engine.list_entities(**arguments)

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
    def post(self, **arguments: Any) -> Entity:
        """Create an entity.

        A connection has one entity of each name; a second one is refused with 409.
        """
        return self.engine.create_entity(**arguments)


class EntityView(EngineView):
    @operation(
        MastraEngine.get_entity_by_id,
        "view_entity",
        name="get_entity",
        variables={"id": "entity_id"},
        example=Example(path=_CONTACTS, answer=_ENTITY),
    )
    def get(self, entity_id: str) -> Entity:
        """Read an entity.

        The response has its latest revision and its sync cursor, not its records.
        """
        return self.engine.get_entity_by_id(id=entity_id)

    @operation(
        MastraEngine.delete_entity_by_id,
        "delete_entity",
        name="delete_entity",
        variables={"id": "entity_id"},
        example=Example(path=_CONTACTS, answer=_ENTITY),
    )
    def delete(self, entity_id: str) -> Entity:
        """Delete an entity.

        Its records, tombstones and sync runs are deleted with it. The response is the deleted
        entity.
        """
        return self.engine.delete_entity_by_id(id=entity_id)


class QueryingView(EngineView):
    def names(self, entity_id: str) -> dict[str, Any]:
        """Return the name and connection of an entity; raises EntityNotFound."""
        entity = self.engine.get_entity_by_id(id=entity_id)
        return {"entity_name": entity.name, "connection_id": entity.connection_id}

    def query(self, entity_id: str, options: Any) -> Page[Record]:
        """Return a page of an entity's records."""
        return self.engine.get_records(**self.names(entity_id), options=options)


class RecordsView(QueryingView):
    parser_classes = [JsonParser, JsonLinesParser]

    @operation(
        QueryOptions,
        "view_record",
        name="list_records",
        variables={"id": "entity_id"},
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
        """List an entity's records.

        The order is that of `external_id`. Tombstones are left out.
        """
        return self.query(entity_id, options)

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
    def post(self, **arguments: Any) -> UpsertResult:
        """Insert or update records.

        Either all records are stored or none. Records that are stored already are not written
        again. As JSON Lines, one record per line, a request can have any number of records.
        """
        return self.engine.upsert_records(**arguments)


class QueryView(QueryingView):
    @operation(
        QueryOptions,
        "view_record",
        name="query_records",
        variables={"id": "entity_id"},
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
        """Query an entity's records.

        The records that match `filters` are returned in the order of `sort`, in pages.
        """
        return self.query(entity_id, options)


class CountView(QueryingView):
    @operation(
        MastraEngine.count_records,
        "view_record",
        variables={"entity_name": "entity_id"},
        without=("connection_id",),
        searches=True,
        example=Example(
            path=_CONTACTS, body={"filters": {"age": {"$gte": 18}}}, answer={"count": 1}
        ),
    )
    def post(self, entity_id: str, **arguments: Any) -> Counted:
        """Count an entity's records.

        Without `filters`, all records are counted; tombstones are not.
        """
        return Counted(self.engine.count_records(**self.names(entity_id), **arguments))


class RecordView(EngineView):
    @operation(
        MastraEngine.get_record,
        "view_record",
        example=Example(path={**_CONTACTS, "external_id": "c1"}, answer=_ALICE),
    )
    def get(self, **arguments: Any) -> Record:
        """Read a record.

        An `external_id` may contain `/`. A deleted record is not found.
        """
        return self.engine.get_record(**arguments)


class DeleteRecordsView(EngineView):
    @operation(
        MastraEngine.delete_records,
        "delete_record",
        example=Example(
            path=_CONTACTS, body={"external_ids": ["c1", "unknown"]}, answer={"deleted": 1}
        ),
    )
    def post(self, **arguments: Any) -> Deleted:
        """Delete records.

        They become tombstones, which the change feed reports as `deleted`. Unknown ids are
        ignored.
        """
        return Deleted(self.engine.delete_records(**arguments))


class PurgeView(EngineView):
    @operation(
        MastraEngine.purge_deleted_records,
        "delete_record",
        name="purge_records",
        example=Example(path=_CONTACTS, body={"up_to_rev": 2}, answer={"deleted": 0}),
    )
    def post(self, **arguments: Any) -> Deleted:
        """Remove tombstones for good.

        Remove only tombstones that every reader of the change feed has read. A reader that
        continues from an older revision is refused with 410, and has to read all records again.
        """
        return Deleted(self.engine.purge_deleted_records(**arguments))


class ExportRecordsView(QueryingView):
    @operation(
        QueryOptions,
        "view_record",
        name="export_records",
        variables={"id": "entity_id"},
        without=("limit", "offset", "cursor"),
        example=Example(
            path=_CONTACTS,
            query={"filters": '{"age": {"$gte": 18}}'},
            answer=f'{{"id":"{_ID}","external_id":"c1","data":{{…}},…}}\n',
        ),
    )
    def get(self, entity_id: str, **options: Any) -> Iterator[Record]:
        """Export records as JSON Lines.

        All records that match `filters` are sent, one per line.
        """
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
    def get(self, **arguments: Any) -> Changes:
        """Read the change feed of an entity.

        The records that changed after revision `after` are returned in their latest state. The
        next request sends the response's `next` as `after`. A response ends before `limit` with the
        change that reaches 8 MiB; then `more` is true. A reader that began with `after=0`
        sends the response's `purged`, too.
        """
        return self.engine.get_changes(**arguments)


class SearchRecordsView(EngineView):
    @operation(
        MastraEngine.search_records,
        "view_record",
        fills=("connection_id",),
        searches=True,
        example=Example(
            body={
                "query": "Alice",
                "entity_name": "Contacts",
                "top_k": 1,
                "hybrid": 0.3,
                "min_score": 0.2,
            },
            answer={
                "items": [
                    {
                        "record": _ALICE,
                        "score": 0.5,
                        "text": "Alice",
                        "index": "people",
                        "chunk": 0,
                        "start": None,
                        "end": None,
                        "metadata": {},
                        "similarity": 1.0,
                        "lexical": 0.7,
                        "explanation": None,
                    }
                ],
                "next_cursor": None,
            },
        ),
    )
    def post(self, **arguments: Any) -> Page[RecordMatch]:
        """Search records by meaning and by words.

        Entities with a declared vector index can be searched. Each record occurs once, with its
        best matching chunk. `min_score` can make the response empty.
        """
        return Page(self.engine.search_records(**arguments))


urlpatterns = [
    route("search/", SearchRecordsView, name="search"),
    route("entities/", EntitiesView, name="entities"),
    route("entities/<str:entity_id>/", EntityView, name="entity"),
    route("entities/<str:entity_id>/records/", RecordsView, name="records"),
    route(
        f"entities/<str:entity_id>/records/<{ANY_TEXT}:external_id>/",
        RecordView,
        name="record",
    ),
    route("entities/<str:entity_id>/query/", QueryView, name="records-query"),
    route("entities/<str:entity_id>/count/", CountView, name="records-count"),
    route("entities/<str:entity_id>/delete/", DeleteRecordsView, name="records-delete"),
    route("entities/<str:entity_id>/purge/", PurgeView, name="records-purge"),
    route("entities/<str:entity_id>/export/", ExportRecordsView, name="records-export"),
    route("entities/<str:entity_id>/changes/", ChangesView, name="changes"),
]
