"""The identity of claims: names that differ in case or in their form of Unicode are the same."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple
from uuid import UUID

from mastra_engine.validation.jsonb import canonical, content_hash

#: The vector index of facts. In PostgreSQL a trigger deletes the vector of a deleted fact.
FACT_INDEX = "facts"
#: The object's key in a claim that has one object at a time.
SINGLE = UUID(int=0)


class Claim(NamedTuple):
    """The keys of a resource's claim; versions with equal keys belong to the same claim."""

    subject_key: UUID
    predicate_key: UUID
    object_key: UUID = SINGLE


class Subject(NamedTuple):
    """A subject that is known by an alias: its key, and its name."""

    key: UUID
    name: str


def name_key(resource_id: str, name: str) -> UUID:
    """Return the key of a resource's name, which is the same for all spellings of the name.

    Keys have a fixed size, so that they fit an index whatever the length of the names. Those of
    different resources differ, so that an index of keys alone finds the names of one resource.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return UUID(bytes=content_hash(canonical([resource_id, folded])))
