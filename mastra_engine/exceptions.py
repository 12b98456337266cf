"""What can go wrong, as types.

EngineError
├── InvalidInput             the caller's data; `.path` says where
│   ├── InvalidFilter
│   └── InvalidVector
├── NotFound
│   ├── EntityNotFound
│   ├── RecordNotFound
│   ├── ThreadNotFound
│   ├── MessageNotFound
│   ├── IndexNotFound
│   └── SyncNotFound
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
│   └── SyncAborted
├── Unavailable              safe to retry
└── EngineConfigError        also django.core.exceptions.ImproperlyConfigured
"""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured


class EngineError(Exception):
    """The engine failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class InvalidInput(EngineError):
    """The input is not valid.

    `path` is a JSON pointer (RFC 6901) to the offending place in the call's arguments, such as
    `/records/3/external_id`.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.path)


def _rebuild(kind: type[InvalidInput], message: str, path: str) -> InvalidInput:
    return kind(message, path=path)


class InvalidFilter(InvalidInput):
    """A filter, a sort or a page option is malformed."""


class InvalidVector(InvalidInput):
    """A vector has the wrong length or holds a value that has no distance."""


class NotFound(EngineError):
    """There is no such thing, or it is not yours."""


class EntityNotFound(NotFound):
    """There is no such entity."""


class RecordNotFound(NotFound):
    """There is no such record."""


class ThreadNotFound(NotFound):
    """There is no such thread."""


class MessageNotFound(NotFound):
    """There is no such message."""


class IndexNotFound(NotFound):
    """There is no such vector index."""


class SyncNotFound(NotFound):
    """There is no such sync or sync run."""


class Conflict(EngineError):
    """The state of the store does not allow it."""


class EntityExists(Conflict):
    """The connection already has an entity of that name."""


class ThreadExists(Conflict):
    """There is already a thread of that id."""


class AmbiguousEntity(Conflict):
    """More than one entity matches; name the connection too."""


class SyncConflict(Conflict):
    """The stored sync cursor is not the expected one."""


class VersionConflict(Conflict):
    """It was changed by somebody else in the meantime."""


class IdempotencyConflict(Conflict):
    """The idempotency key was used with another body."""


class InFlight(Conflict):
    """A call with that idempotency key is under way; what came of it can be asked for later."""


class IndexMismatch(Conflict):
    """An index of that name has another definition."""


class CursorExpired(Conflict):
    """The change feed no longer reaches back that far; read everything anew."""


class SyncAborted(Conflict):
    """The sync would have deleted more than it may; nothing was changed."""


class Unavailable(EngineError):
    """The database is away, busy or read-only; retrying is safe.

    Nothing was changed, save perhaps by a commit whose answer was lost with the connection.
    """


class EngineConfigError(EngineError, ImproperlyConfigured):
    """The settings or the database are not fit for the engine."""
