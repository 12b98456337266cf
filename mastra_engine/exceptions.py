"""The exceptions that the engine raises.

EngineError
├── InvalidInput             an argument is not valid; `.path` points at it
│   ├── InvalidFilter
│   └── InvalidVector
├── NotFound
│   ├── EntityNotFound
│   ├── RecordNotFound
│   ├── ThreadNotFound
│   ├── MessageNotFound
│   ├── IndexNotFound
│   ├── SyncNotFound
│   └── FactNotFound
├── Conflict
│   ├── EntityExists
│   ├── ThreadExists
│   ├── AmbiguousEntity
│   ├── SyncConflict
│   ├── VersionConflict
│   ├── IdempotencyConflict
│   ├── InFlight
│   ├── IndexMismatch
│   ├── CursorExpired
│   ├── SyncAborted
│   └── SyncPaused
├── Unavailable              safe to retry
├── CalledInEventLoop        also django.core.exceptions.SynchronousOnlyOperation
└── EngineConfigError        also django.core.exceptions.ImproperlyConfigured

Most of them carry the identifiers they are about as attributes and compose their message from
these: `EntityNotFound(name="Contacts", connection_id="user_123")` reads
`Entity "Contacts" does not exist for connection "user_123"`. Only identifiers that the caller
passed belong into a NotFound, so that the error for another owner's object equals the error for
an object that does not exist.
"""

from __future__ import annotations

import json
from typing import ClassVar
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation

#: Longer identifiers are shortened in messages; the attributes keep them in full.
MAX_QUOTED = 80


def quoted(value: object) -> str:
    """Return an identifier as messages show it: text in double quotes, on one line, shortened."""
    if not isinstance(value, str):
        return str(value)
    shortened = value if len(value) <= MAX_QUOTED else value[: MAX_QUOTED - 1] + "…"
    return json.dumps(shortened, ensure_ascii=False)


def _subject(kind: str, *identifiers: object) -> str:
    """Return `kind` followed by the first identifier that is set, or "The <kind>" without one."""
    for identifier in identifiers:
        if identifier is not None:
            return f"{kind} {quoted(identifier)}"
    return f"The {kind[0].lower()}{kind[1:]}"


def _of(preposition: str, identifier: object) -> str:
    return "" if identifier is None else f" {preposition} {quoted(identifier)}"


class EngineError(Exception):
    """Base class of the errors that the engine raises."""

    #: The message of an error that is raised without one.
    default_message: ClassVar[str] = "The engine failed"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.default_message)


class InvalidInput(EngineError):
    """An argument is not valid.

    `path` is a JSON pointer (RFC 6901) to the offending place in the call's arguments, such as
    `/records/3/external_id`. `message` is the explanation without the path.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path


class InvalidFilter(InvalidInput):
    """A filter, a sort or a page option is malformed."""


class InvalidVector(InvalidInput):
    """A vector has the wrong length or holds a value without a distance."""


class NotFound(EngineError):
    """The object does not exist, or it is outside the engine's scope."""

    default_message = "The object does not exist"


class EntityNotFound(NotFound):
    """The entity does not exist. Carries `id`, or `name` and `connection_id`."""

    def __init__(
        self,
        message: str | None = None,
        *,
        name: str | None = None,
        connection_id: str | None = None,
        id: UUID | None = None,
    ) -> None:
        self.name, self.connection_id, self.id = name, connection_id, id
        if name is None and id is None and connection_id is not None:
            composed = f"No entity exists for connection {quoted(connection_id)}"
        else:
            connection = _of("for connection", connection_id)
            composed = f"{_subject('Entity', name, id)} does not exist{connection}"
        super().__init__(message or composed)


class RecordNotFound(NotFound):
    """The record does not exist or is deleted.

    Carries `external_id` and `entity_id`, or the record's `id`.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        external_id: str | None = None,
        entity_id: UUID | None = None,
        id: UUID | None = None,
    ) -> None:
        self.external_id, self.entity_id, self.id = external_id, entity_id, id
        super().__init__(
            message
            or f"{_subject('Record', external_id, id)} does not exist{_of('in entity', entity_id)}"
        )


class ThreadNotFound(NotFound):
    """The thread does not exist. Carries its `id`."""

    def __init__(self, message: str | None = None, *, id: str | None = None) -> None:
        self.id = id
        super().__init__(message or f"{_subject('Thread', id)} does not exist")


class MessageNotFound(NotFound):
    """The message does not exist. Carries its `id`, and `thread_id` if a thread was named."""

    def __init__(
        self, message: str | None = None, *, id: str | None = None, thread_id: str | None = None
    ) -> None:
        self.id, self.thread_id = id, thread_id
        super().__init__(
            message or f"{_subject('Message', id)} does not exist{_of('in thread', thread_id)}"
        )


class IndexNotFound(NotFound):
    """The vector index does not exist. Carries its `name`."""

    def __init__(self, message: str | None = None, *, name: str | None = None) -> None:
        self.name = name
        super().__init__(message or f"{_subject('Vector index', name)} does not exist")


class SyncNotFound(NotFound):
    """The sync is not declared, or the run does not exist.

    Carries the sync's `name` and `connection_id`, or `run_id`.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        name: str | None = None,
        connection_id: str | None = None,
        run_id: UUID | None = None,
    ) -> None:
        self.name, self.connection_id, self.run_id = name, connection_id, run_id
        subject = _subject("Sync", name) if run_id is None else _subject("Sync run", run_id)
        super().__init__(
            message or f"{subject} does not exist{_of('for connection', connection_id)}"
        )


class FactNotFound(NotFound):
    """The fact does not exist. Carries its `id`."""

    def __init__(self, message: str | None = None, *, id: UUID | None = None) -> None:
        self.id = id
        super().__init__(message or f"{_subject('Fact', id)} does not exist")


class Conflict(EngineError):
    """The stored state does not allow the operation."""

    default_message = "The stored state does not allow the operation"


class EntityExists(Conflict):
    """The connection already has an entity of that name. Carries `name` and `connection_id`."""

    def __init__(
        self,
        message: str | None = None,
        *,
        name: str | None = None,
        connection_id: str | None = None,
    ) -> None:
        self.name, self.connection_id = name, connection_id
        super().__init__(
            message
            or f"{_subject('Entity', name)} already exists{_of('for connection', connection_id)}"
        )


class ThreadExists(Conflict):
    """A thread of that id already exists. Carries its `id`."""

    def __init__(self, message: str | None = None, *, id: str | None = None) -> None:
        self.id = id
        super().__init__(message or f"{_subject('Thread', id)} already exists")


class AmbiguousEntity(Conflict):
    """More than one entity matches. Carries the `name` or the `connection_id` that was passed."""

    def __init__(
        self,
        message: str | None = None,
        *,
        name: str | None = None,
        connection_id: str | None = None,
    ) -> None:
        self.name, self.connection_id = name, connection_id
        if name is not None:
            composed = f"Several connections have an entity {quoted(name)}; pass connection_id too"
        elif connection_id is not None:
            composed = f"Connection {quoted(connection_id)} has several entities; pass name too"
        else:
            composed = "Several entities match; pass both name and connection_id"
        super().__init__(message or composed)


class SyncConflict(Conflict):
    """A sync's state is not the expected one, or another run of the sync is active."""

    default_message = "The stored sync state is not the expected one"


class VersionConflict(Conflict):
    """The object has another version than the expected one. Carries `expected` and `current`."""

    def __init__(
        self,
        message: str | None = None,
        *,
        subject: str = "The object",
        expected: int | None = None,
        current: int | None = None,
    ) -> None:
        self.expected, self.current = expected, current
        if expected is None or current is None:
            composed = f"{subject} was changed by another process; read it again"
        else:
            composed = f"{subject} has version {current}, not {expected}; read it again"
        super().__init__(message or composed)


class IdempotencyConflict(Conflict):
    """The idempotency key was used with other arguments. Carries the `key`."""

    def __init__(self, message: str | None = None, *, key: str | None = None) -> None:
        self.key = key
        super().__init__(
            message or f"{_subject('Idempotency key', key)} was used with other arguments"
        )


class InFlight(Conflict):
    """Another call with the same idempotency key is running. Carries the `key`; retry later."""

    def __init__(self, message: str | None = None, *, key: str | None = None) -> None:
        self.key = key
        under = "the same idempotency key" if key is None else f"idempotency key {quoted(key)}"
        super().__init__(
            message or f"Another call with {under} is running; retry later to get its response"
        )


class IndexMismatch(Conflict):
    """A vector index of that name has another definition."""

    default_message = "A vector index of that name has another definition"


class CursorExpired(Conflict):
    """The change feed is incomplete after that revision. Carries `after` and `purged`."""

    def __init__(
        self, message: str | None = None, *, after: int | None = None, purged: int | None = None
    ) -> None:
        self.after, self.purged = after, purged
        if after is None or purged is None:
            composed = "The change feed no longer reaches back to that revision"
        else:
            composed = f"Deletions up to revision {purged} are purged, and after is {after}"
        super().__init__(message or f"{composed}; read all records again")


class SyncAborted(Conflict):
    """A full sync would have deleted more records than allowed, or all; nothing was changed."""

    default_message = "The sync would delete more records than allowed; nothing was changed"


class SyncPaused(Conflict):
    """The sync is paused for this connection. Carries the sync's `name` and `connection_id`."""

    def __init__(
        self,
        message: str | None = None,
        *,
        name: str | None = None,
        connection_id: str | None = None,
    ) -> None:
        self.name, self.connection_id = name, connection_id
        connection = _of("for connection", connection_id)
        super().__init__(
            message or f"{_subject('Sync', name)} is paused{connection}; call resume_sync() first"
        )


class Unavailable(EngineError):
    """The database or another server is unreachable, busy or read-only; it is safe to retry.

    Nothing was changed, except if the connection was lost while a commit was being confirmed.
    """

    default_message = "The database is unreachable, busy or read-only; it is safe to retry"


class CalledInEventLoop(EngineError, SynchronousOnlyOperation):
    """A synchronous method was called in a coroutine. Carries `method` and `async_method`."""

    default_message = "Synchronous methods block the event loop; use their async variants"

    def __init__(self, message: str | None = None, *, method: str | None = None) -> None:
        self.method = method
        self.async_method = None if method is None else f"a{method}"
        if method is not None:
            message = message or (
                f"{method}() would block the event loop of this coroutine; use a{method}() instead"
            )
        super().__init__(message)


class EngineConfigError(EngineError, ImproperlyConfigured):
    """The settings or the database are not usable for the engine."""

    default_message = "The settings or the database are not usable for the engine"
