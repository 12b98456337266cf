"""Driver errors become the engine's, here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error, InterfaceError, OperationalError

from mastra_engine.exceptions import EngineConfigError, EngineError, Unavailable

#: Two transactions stood in each other's way; trying again is all it takes.
RETRYABLE = {"40001", "40P01"}

MISSING_TABLE = "42P01"
#: By a timeout, or by somebody.
CANCELLED = "57014"
_NOT_ALLOWED = "42501"
#: Lock not available, statement cancelled, read-only, a transaction that took too long, feature of
#: the shutdown: classes and codes of PostgreSQL's appendix "Error Codes" that say "not now" rather
#: than "not so".
_NOT_NOW = ("08", "25006", "25P03", "25P04", "40", "53", "55P03", "57")


def sqlstate(error: BaseException | None) -> str:
    """Return the SQLSTATE of a Django or psycopg error, or an empty string."""
    while error is not None:
        if state := getattr(error, "sqlstate", None):
            return str(state)
        error = error.__cause__
    return ""


@contextmanager
def translated() -> Iterator[None]:
    """Raise the engine's error in place of the driver's; its text may hold data, so it stays out.

    Whatever says nothing about the server's state passes as it is: it is a bug, here or there.
    """
    try:
        yield
    except Error as error:
        if (ours := _translation(error)) is None:
            raise
        raise ours from error


def _translation(error: Error) -> EngineError | None:
    state = sqlstate(error)
    if state == MISSING_TABLE:
        return EngineConfigError("The engine's tables are missing; run manage.py engine_migrate")
    if state == _NOT_ALLOWED:
        return EngineConfigError(
            "The database role may not do this. To make, build or delete a vector index it has to "
            "own the engine's tables, or be a member of the role that does, and takes "
            "GRANT CREATE ON SCHEMA public; the extension, CREATE EXTENSION vector by a superuser."
        )
    if state.startswith(_NOT_NOW):
        return Unavailable(f"The database cannot do this now (SQLSTATE {state})")
    if not state and isinstance(error, OperationalError | InterfaceError):
        return Unavailable("There is no connection to the database")
    return None
