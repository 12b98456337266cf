"""The declared syncs of the desk."""

from __future__ import annotations

import json

from example_project.desk import tracker
from mastra_engine import engine

TICKETS = {
    f"{ticket['repository']}#{ticket['number']}": ticket
    for ticket in json.loads(tracker.TICKETS.read_text(encoding="utf-8"))
}


def test_tickets_come_in_page_by_page() -> None:
    run = engine.run_sync("tickets", connection_id="test")
    assert (run.status, run.created, run.pages) == ("succeeded", len(TICKETS), 3)
    page = engine.get_records(entity_name="Tickets", connection_id="test")
    assert {record.external_id: record.data for record in page} == TICKETS


def test_tickets_that_come_again_are_not_written() -> None:
    engine.run_sync("tickets", connection_id="test")
    again = engine.run_sync("tickets", connection_id="test")
    assert (again.created, again.updated, again.unchanged) == (0, 0, len(TICKETS))
