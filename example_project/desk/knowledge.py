"""The documentation and the tickets, which answers cite."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from example_project.sources import CONNECTION
from mastra_engine import MastraEngine
from mastra_engine.exceptions import EntityNotFound
from mastra_engine.retrieval.chunking import chunk
from mastra_engine.types import QueryOptions, Record, RecordMatch, SyncRun

#: The sync of each entity.
SYNCS = {"Topics": "topics", "Tickets": "tickets"}
#: The index of both entities, and the number of chunks that an answer is made from.
INDEX, TOP_K = "support", 4
#: The least similarity of a chunk to a question. With the desk's embedder, chunks that answer a
#: question have 0.3 to 0.7, and the closest ones to a question about something else up to 0.27.
MIN_SIMILARITY = 0.3

_FOOTNOTE = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A record that an answer may cite by its number.

    `text` is the chunk that a search found, or empty where a tool looked the record up. `origin`
    says which of both it was.
    """

    number: int
    text: str
    record: Record
    origin: dict[str, Any]

    def reference(self) -> dict[str, Any]:
        """Return the metadata of the source that is saved with an answer, without its text."""
        return {
            "number": self.number,
            "title": title(self.record),
            "entity": self.record.entity_type,
            "external_id": self.record.external_id,
            "record_id": str(self.record.id),
            **self.origin,
        }


def search(desk: MastraEngine, question: str) -> list[RecordMatch]:
    """Return the chunks that fit a question best, at most one of each record, or none."""
    return desk.search_records(
        query=question,
        connection_id=CONNECTION,
        top_k=TOP_K,
        min_score=MIN_SIMILARITY,
        explain=True,
    )


def find_tickets(desk: MastraEngine, number: int) -> list[Record]:
    """Return the tickets of a number; each repository may have one."""
    return _tickets(desk, {"number": number})


def list_tickets(desk: MastraEngine, *, kind: str | None, state: str | None) -> list[Record]:
    """Return the tickets of a kind and in a state; None stands for any."""
    conditions = {"kind": kind, "state": state}
    return _tickets(desk, {name: value for name, value in conditions.items() if value is not None})


def _tickets(desk: MastraEngine, filters: dict[str, Any]) -> list[Record]:
    options = QueryOptions(filters=filters)
    return desk.get_records(entity_name="Tickets", connection_id=CONNECTION, options=options).items


def get(desk: MastraEngine, entity: str, external_id: str) -> Record:
    """Return a record of an entity. Raises EntityNotFound and RecordNotFound."""
    row = desk.get_entity(name=entity, connection_id=CONNECTION) if entity in SYNCS else None
    if row is None:
        raise EntityNotFound(f"The desk has no entity {entity}")
    return desk.get_record(entity_id=row.id, external_id=external_id)


def last_run(desk: MastraEngine, entity: str) -> SyncRun | None:
    """Return the latest run of the sync of an entity, or None before the first run."""
    runs = desk.list_sync_runs(sync=SYNCS[entity], connection_id=CONNECTION, limit=1)
    return runs.items[0] if runs else None


def title(record: Record) -> str:
    """Return the title of a record for its readers; a ticket's begins with its number."""
    name: str = record.data["title"]
    return f"{record.external_id}: {name}" if record.entity_type == "Tickets" else name


def text(data: dict[str, Any]) -> str:
    """Return the text of a topic, or of a ticket with its comments."""
    comments = [f"{comment['author']}: {comment['body']}" for comment in data.get("comments", [])]
    return "\n\n".join([data["body"], *comments])


def split_at_chunk(record: Record, number: str) -> tuple[str, str, str]:
    """Return the text before a chunk, the chunk, and the text after it.

    Without such a chunk, the first text is the whole and the others are empty.
    """
    document = text(record.data)
    chunks = chunk(document)
    for part in chunks:
        if str(part.index) == number and len(chunks) > 1:
            return document[: part.start], part.text, document[part.end :]
    return document, "", ""


def without_footnotes(text: str) -> str:
    """Return a text without footnote marks such as "[1]", which look like citations."""
    return _FOOTNOTE.sub("", text)
