"""The revision of an entity at a time is found by its records alone."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Min
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from mastra_engine import engine
from mastra_engine.models import Record
from mastra_engine.postgres.record_days import revisions_at
from tests.integration.queries import plan_of, statements

BEGIN = datetime.fromisoformat("2026-11-30T00:00:00+00:00")


class TestRevisions(TestCase):
    @given(
        steps=st.lists(st.integers(0, 3), max_size=30),
        deleted=st.sets(st.integers(0, 29)),
        after=st.integers(-1, 60),
    )
    @settings(max_examples=60, deadline=None, database=None)
    def test_it_is_that_of_the_first_record_since(
        self, steps: list[int], deleted: set[int], after: int
    ) -> None:
        entity = engine.create_entity(name="A", connection_id="c")
        for number in range(len(steps)):
            engine.upsert_records(
                entity_id=entity.id, records=[{"external_id": str(number), "data": {}}]
            )
        moment = BEGIN
        for record, step in zip(Record.objects.order_by("rev"), steps, strict=True):
            moment += timedelta(hours=step)
            Record.objects.filter(pk=record.pk).update(updated_at=moment)
        # Records that were purged or written again leave gaps in the revisions.
        Record.objects.filter(external_id__in=map(str, deleted)).delete()
        since = BEGIN + timedelta(hours=after)

        rev = revisions_at(connection, [entity.id], since)[entity.id]

        first = Record.objects.filter(updated_at__gte=since).aggregate(rev=Min("rev"))["rev"]
        assert not Record.objects.filter(rev__gte=rev, updated_at__lt=since).exists()
        assert first is None or first >= rev
        engine.delete_entity_by_id(id=entity.id)


class TestItsPlan(TestCase):
    def test_it_reads_the_index_of_revisions(self) -> None:
        records = [{"external_id": str(number), "data": {}} for number in range(2_000)]
        entity = engine.sync_records(name="A", connection_id="c", records=records).entity
        (sent,) = statements(lambda: revisions_at(connection, [entity.id], BEGIN))
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE mastra_engine_record")
        nodes = plan_of(sent)
        scans = [node for node in nodes if node.get("Relation Name") == "mastra_engine_record"]
        assert {node.get("Index Name") for node in scans} == {"mastra_engine_record_rev"}
