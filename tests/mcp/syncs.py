"""The vector index of the records in the tests."""

from __future__ import annotations

from typing import Any

from mastra_engine import index_records


def name_of(contact: dict[str, Any]) -> str:
    """Return the text by which a contact is found."""
    return str(contact["name"])


index_contacts = index_records(entity="Contacts", index="people", text=name_of)
index_contacts(name_of)
