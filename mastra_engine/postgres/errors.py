"""The translation of driver errors into the engine's, for all modules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error, InterfaceError, OperationalError

from mastra_engine.exceptions import EngineConfigError, EngineError, InvalidInput, Unavailable

#: Two transactions were in conflict; the same transaction can succeed when it is run again.
_SERIALIZATION_FAILURE = "40001"
RETRYABLE = {_SERIALIZATION_FAILURE, "40P01"}
#: Two statements that change one table's definition, for example DROP and ATTACH PARTITION, may
#: fail with this message, which PostgreSQL does not translate, and with the code of internal
#: errors. It is a serialization failure: the same transaction succeeds when it is run again.
_CONCURRENT_DDL, _INTERNAL = "tuple concurrently ", "XX000"

MISSING_TABLE = "42P01"
#: A statement was cancelled, by a timeout or by another session.
CANCELLED = "57014"
NOT_ALLOWED = "42501"
#: Program limit exceeded: the same request can never succeed.
_TOO_LARGE = "54"
#: Classes and codes of PostgreSQL's appendix "Error Codes" for temporary conditions: connection
#: errors, a read-only transaction, one that timed out, rollbacks, too few resources, a lock that is
#: not available, and interventions such as a cancelled statement or a shutdown.
_NOT_NOW = ("08", "25006", "25P03", "25P04", "40", "53", "55P03", "57")
READ_ONLY = "25006"
_REASONS = {
    READ_ONLY: "The database is read-only",
    "40001": "The transaction was in conflict with another one",
    "40P01": "The transaction was in a deadlock with another one",
    "53100": "The disk of the database is full",
    "55P03": "Another transaction holds a lock, which it did not release in time",
}


class DatabaseError(Exception):
    """The cause of a translated error, without the data that the driver's text may quote.

    It has the class and the SQLSTATE of the driver's error. An error without a SQLSTATE is not the
    server's: its text is kept, because it tells why there is no connection, and quotes no data.
    """

    def __init__(self, error: Error, sqlstate: str) -> None:
        name = type(error).__name__
        super().__init__(f"{name} (SQLSTATE {sqlstate})" if sqlstate else f"{name}: {error}")
        self.sqlstate = sqlstate


def sqlstate(error: BaseException | None) -> str:
    """Return the SQLSTATE of a Django or psycopg error, or an empty string."""
    while error is not None:
        if state := getattr(error, "sqlstate", None):
            return str(state)
        error = error.__cause__
    return ""


@contextmanager
def translated() -> Iterator[None]:
    """Raise the engine's error instead of the driver's.

    The text of the driver's error may quote the statement and its data, and loggers write the
    causes of an error. So the cause is another error.
    Errors that do not depend on the server's state or on the input's size are bugs, and pass.
    """
    try:
        yield
    except Error as error:
        if (translation := _translation(error)) is None:
            raise
        state = sqlstate(error)
        if state == _INTERNAL:
            state = _SERIALIZATION_FAILURE  # see _CONCURRENT_DDL
        raise translation from DatabaseError(error, state)


def _translation(error: Error) -> EngineError | None:
    state = sqlstate(error)
    if state == _INTERNAL and _CONCURRENT_DDL in str(error):
        return Unavailable("Another transaction has changed the same table's definition")
    if state == MISSING_TABLE:
        return EngineConfigError("The engine's tables are missing; run manage.py engine_migrate")
    if state == NOT_ALLOWED:
        return EngineConfigError(
            "The database role may not do this. To make, build or delete a vector index it has to "
            "own the engine's tables, or be a member of the role that does, and takes "
            "GRANT CREATE ON SCHEMA public; the extension, CREATE EXTENSION vector by a superuser."
        )
    if state.startswith(_TOO_LARGE):
        return InvalidInput(
            f"is larger or nested deeper than PostgreSQL can process (SQLSTATE {state})", path=""
        )
    if state == CANCELLED:
        return Unavailable(
            "The database cancelled the statement: it took longer than a timeout allows, or an "
            "operator cancelled it"
        )
    if state.startswith(_NOT_NOW):
        reason = _REASONS.get(state, "The database cannot do this now")
        return Unavailable(f"{reason} (SQLSTATE {state})")
    if not state and isinstance(error, OperationalError | InterfaceError):
        return Unavailable("There is no connection to the database")
    return None
