"""Queries of records: by ids, and pages by cursor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

from mastra_engine.backends.base.records.store import RecordStore
from mastra_engine.exceptions import InvalidFilter, InvalidInput
from mastra_engine.filters.ast import Equals, Field, FieldTree, Query
from mastra_engine.filters.cursors import (
    decode_position,
    encode_position,
    fingerprint,
    position_of,
)
from mastra_engine.filters.projection import project, with_sort_keys
from mastra_engine.types import Entity, Page, Record

#: How many records a page has unless the options have another limit.
PAGE = 100
#: How many records `iter_records` reads at a time.
ITER_PAGE = 2_000


def query_by_ids(external_ids: Iterable[str], fields: FieldTree | None = None) -> Query:
    """Return the query that selects records by their external ids."""
    where = Equals(Field(column="external_id"), tuple(external_ids))
    return Query(where=where, fields=fields)


def select_page(store: RecordStore, entity: Entity, query: Query) -> Page[Record]:
    """Return the page of records that a query's cursor and limit describe.

    With a limit, it ends with the record that reaches `page_bytes(limit)`.
    """
    created_for = partial(fingerprint, entity.connection_id, entity.name, query.where, query.sort)
    after = None
    if query.cursor is not None:
        try:
            after = decode_position(query.cursor, created_for(), query.sort)
        except InvalidInput as error:  # every other fault of the options is an InvalidFilter, too
            raise InvalidFilter(error.message, path=f"/options{error.path}") from None
    if query.limit is None:
        return Page(store.select_records(entity, query, after))
    # The cursor is made of the fields that the query sorts by, even if they are not returned.
    fields = None if query.fields is None else with_sort_keys(query.fields, query.sort)
    records, has_more = store.select_page(
        entity, replace(query, fields=fields), after, limit=query.limit
    )
    cursor = None
    if records and has_more:
        cursor = encode_position(created_for(), position_of(records[-1], query.sort))
    if query.fields != fields:
        records = [_with_fields(record, query.fields or {}) for record in records]
    return Page(records, cursor)


def iterate_pages(store: RecordStore, entity: Entity, query: Query) -> Iterator[Record]:
    """Iterate over the records of a query, up to its limit, page by page."""
    remaining = query.limit
    while remaining is None or remaining > 0:
        size = ITER_PAGE if remaining is None else min(remaining, ITER_PAGE)
        page = select_page(store, entity, replace(query, limit=size))
        yield from page
        if page.next_cursor is None:
            return
        remaining = None if remaining is None else remaining - len(page)
        query = replace(query, cursor=page.next_cursor, offset=0)


def _with_fields(record: Record, fields: FieldTree) -> Record:
    return replace(record, data=project(record.data, fields))
