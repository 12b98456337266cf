"""Exceptions: the messages they compose, the attributes they carry, and copies of them."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any
from uuid import UUID

import pytest

from mastra_engine import exceptions
from mastra_engine.exceptions import (
    AmbiguousEntity,
    CursorExpired,
    EngineError,
    EntityExists,
    EntityNotFound,
    IdempotencyConflict,
    IndexNotFound,
    InFlight,
    InvalidFilter,
    InvalidInput,
    MessageNotFound,
    RecordNotFound,
    SyncNotFound,
    ThreadExists,
    ThreadNotFound,
    Unavailable,
    VersionConflict,
)
from mastra_engine.validation.suggestions import unknown

ID = UUID("0196b7d2-2f4b-7c1e-9a53-0242ac120002")
KINDS: list[type[EngineError]] = [
    value
    for value in vars(exceptions).values()
    if inspect.isclass(value) and issubclass(value, EngineError)
]

COMPOSED: list[tuple[EngineError, dict[str, Any], str]] = [
    (
        EntityNotFound(name="Contacts", connection_id="user_123"),
        {"name": "Contacts", "connection_id": "user_123", "id": None},
        'Entity "Contacts" does not exist for connection "user_123"',
    ),
    (
        EntityNotFound(connection_id="c"),
        {"connection_id": "c", "name": None},
        'No entity exists for connection "c"',
    ),
    (EntityNotFound(id=ID), {"id": ID, "name": None}, f"Entity {ID} does not exist"),
    (
        RecordNotFound(external_id="c-1", entity_id=ID),
        {"external_id": "c-1", "entity_id": ID},
        f'Record "c-1" does not exist in entity {ID}',
    ),
    (ThreadNotFound(id="t\n1"), {"id": "t\n1"}, 'Thread "t\\n1" does not exist'),
    (
        MessageNotFound(id="m-1", thread_id="t-1"),
        {"id": "m-1", "thread_id": "t-1"},
        'Message "m-1" does not exist in thread "t-1"',
    ),
    (IndexNotFound(name="docs"), {"name": "docs"}, 'Vector index "docs" does not exist'),
    (SyncNotFound(run_id=ID), {"run_id": ID}, f"Sync run {ID} does not exist"),
    (
        SyncNotFound(name="crm", connection_id="c"),
        {"name": "crm", "connection_id": "c"},
        'Sync "crm" does not exist for connection "c"',
    ),
    (
        EntityExists(name="Contacts", connection_id="c"),
        {"name": "Contacts", "connection_id": "c"},
        'Entity "Contacts" already exists for connection "c"',
    ),
    (ThreadExists(id="é" * 200), {"id": "é" * 200}, f'Thread "{"é" * 79}…" already exists'),
    (
        AmbiguousEntity(name="Contacts"),
        {"name": "Contacts", "connection_id": None},
        'Several connections have an entity "Contacts"; pass connection_id too',
    ),
    (
        AmbiguousEntity(connection_id="c"),
        {"connection_id": "c"},
        'Connection "c" has several entities; pass name too',
    ),
    (
        VersionConflict(subject='Thread "t"', expected=3, current=4),
        {"expected": 3, "current": 4},
        'Thread "t" has version 4, not 3; read it again',
    ),
    (
        IdempotencyConflict(key="k"),
        {"key": "k"},
        'Idempotency key "k" was used with other arguments',
    ),
    (
        InFlight(key="k"),
        {"key": "k"},
        'Another call with idempotency key "k" is running; retry later to get its response',
    ),
    (
        CursorExpired(after=3, purged=80),
        {"after": 3, "purged": 80},
        "Deletions up to revision 80 are purged, and after is 3; read all records again",
    ),
]


@pytest.mark.parametrize(("error", "attributes", "message"), COMPOSED)
def test_errors_compose_their_message_from_the_identifiers_they_carry(
    error: EngineError, attributes: dict[str, Any], message: str
) -> None:
    assert str(error) == message
    assert {name: getattr(error, name) for name in attributes} == attributes


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_one_line_message_without_arguments(kind: type[EngineError]) -> None:
    error = kind("must be text") if issubclass(kind, InvalidInput) else kind()
    assert str(error)
    assert "\n" not in str(error)
    assert not str(error).endswith(".")
    assert "\n" not in kind.default_message


@pytest.mark.parametrize(
    "error",
    [
        *(error for error, _, _ in COMPOSED),
        InvalidFilter("must be text", path="/filter/0"),
        Unavailable("busy"),
    ],
)
def test_errors_survive_pickling_and_copying(error: EngineError) -> None:
    for clone in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(clone) is type(error)
        assert (str(clone), vars(clone)) == (str(error), vars(error))


def test_an_explicit_message_keeps_the_attributes() -> None:
    error = IndexNotFound("The entity or its index is deleted", name="docs")
    assert (str(error), error.name) == ("The entity or its index is deleted", "docs")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("filter", 'unknown field "filter"; did you mean "filters"? Known fields: filters, sort'),
        ("SORT", 'unknown field "SORT"; did you mean "sort"? Known fields: filters, sort'),
        ("colour", 'unknown field "colour". Known fields: filters, sort'),
        (7, 'unknown field "7". Known fields: filters, sort'),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_all_known_ones(
    name: object, message: str
) -> None:
    assert unknown("field", name, ["filters", "sort"]) == message


def test_suggestions_see_through_camel_case_and_operator_signs() -> None:
    assert 'did you mean "external_id"?' in unknown("key", "externalID", ["external_id", "data"])
    assert 'did you mean "$in"?' in unknown("operator", "in", ["$in", "$nin"])
    assert unknown("key", "anything", []) == 'unknown key "anything"'
    assert "Known keys: 0, 1," in unknown("key", "anything", range(100))
    assert unknown("key", "anything", range(100)).endswith("39, …")


def test_paths_are_kept_apart_from_messages() -> None:
    error = InvalidInput("must be text", path="/records/3/external_id")
    assert (error.message, error.path) == ("must be text", "/records/3/external_id")
    assert str(error) == "/records/3/external_id: must be text"
