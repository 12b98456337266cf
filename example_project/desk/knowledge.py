"""What answers are grounded in: the documentation and the tickets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mastra_engine import MastraEngine
from mastra_engine.exceptions import EntityNotFound
from mastra_engine.retrieval.chunking import chunk
from mastra_engine.types import QueryOptions, Record, RecordMatch, SyncRun

#: What the desk's syncs run under, and which of them brings the records of which entity.
CONNECTION = "support-desk"
SYNCS = {"Topics": "topics", "Tickets": "tickets"}
#: The index that both are searched in, and how many passages an answer is made of.
INDEX, PASSAGES = "support", 4

_FOOTNOTE = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a record that an answer may cite by its number, and how it was come by."""

    number: int
    text: str
    record: Record
    found: dict[str, Any]

    def reference(self) -> dict[str, Any]:
        """Return what is kept with an answer that had it: where it is, not what it says."""
        return {
            "number": self.number,
            "title": title(self.record),
            "entity": self.record.entity_type,
            "external_id": self.record.external_id,
            "record_id": str(self.record.id),
            **self.found,
        }


def search(desk: MastraEngine, question: str) -> list[RecordMatch]:
    """Return the passages closest to a question, one of a record."""
    return desk.search_records(
        query=question, connection_id=CONNECTION, top_k=PASSAGES, hybrid=False
    )


def find_tickets(desk: MastraEngine, number: int) -> list[Record]:
    """Return the tickets of a number; each repository may have one."""
    options = QueryOptions(filters={"number": number})
    return desk.get_records(entity_name="Tickets", connection_id=CONNECTION, options=options).items


def get(desk: MastraEngine, entity: str, external_id: str) -> Record:
    """Return a record; raises NotFound."""
    found = desk.get_entity(name=entity, connection_id=CONNECTION) if entity in SYNCS else None
    if found is None:
        raise EntityNotFound(f"The desk knows no {entity}")
    return desk.get_record(entity_id=found.id, external_id=external_id)


def last_run(desk: MastraEngine, entity: str) -> SyncRun | None:
    """Return the latest run of the sync that brings an entity's records."""
    runs = desk.list_sync_runs(sync=SYNCS[entity], connection_id=CONNECTION, limit=1)
    return runs.items[0] if runs else None


def title(record: Record) -> str:
    """Name a record as its readers know it."""
    name: str = record.data["title"]
    return f"{record.external_id}: {name}" if record.entity_type == "Tickets" else name


def text(data: dict[str, Any]) -> str:
    """Return what is written in a topic, or in a ticket with its comments."""
    said = [f"{comment['author']}: {comment['body']}" for comment in data.get("comments", [])]
    return "\n\n".join([data["body"], *said])


def parted(record: Record, number: str) -> tuple[str, str, str]:
    """Return what is written before, in and after the passage that a citation names."""
    whole = text(record.data)
    pieces = chunk(whole)
    for piece in pieces:
        if str(piece.index) == number and len(pieces) > 1:
            return whole[: piece.start], piece.text, whole[piece.end :]
    return whole, "", ""


def without_footnotes(text: str) -> str:
    """Leave out the "[1]" of a text, which would be taken for citations."""
    return _FOOTNOTE.sub("", text)
