"""Permissions to read content, transactions of views, and streams: shared by API and admin."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.http import StreamingHttpResponse

from mastra_engine.types import (
    Entity,
    Fact,
    FactMatch,
    FactSource,
    Match,
    Message,
    RecalledMessage,
    Record,
    StateItem,
    StateMatch,
    StoredVector,
    Sync,
    SyncPage,
    SyncRun,
    Thread,
    VectorIndex,
    WorkingMemory,
)

V = TypeVar("V", bound=Callable[..., Any])

APP = "mastra_engine"

#: The permission to read each type of value. An operation that returns a value, or one that
#: contains it, asks for this permission, whatever else it does.
READS: dict[Any, str] = {
    Entity: "view_entity",
    Fact: "view_fact",
    FactMatch: "view_fact",
    FactSource: "view_factsource",
    Match: "view_embedding",
    Message: "view_message",
    RecalledMessage: "view_message",
    Record: "view_record",
    StateItem: "view_stateitem",
    StateMatch: "view_stateitem",
    StoredVector: "view_embedding",
    Sync: "view_sync",
    SyncPage: "view_syncrun",
    SyncRun: "view_syncrun",
    Thread: "view_thread",
    VectorIndex: "view_vectorindex",
    WorkingMemory: "view_workingmemory",
}

#: The permission that reading any content needs besides the permission to view the objects.
READ_CONTENT = "read_content"
#: Permissions to view objects with content: texts, documents, metadata, parameters, checkpoints.
CONTENT = frozenset(
    {
        "view_embedding",
        "view_evaluationcase",
        "view_fact",
        "view_factsource",
        "view_message",
        "view_record",
        "view_stateitem",
        "view_sync",
        "view_syncrun",
        "view_thread",
        "view_workingmemory",
    }
)


def required(permission: str) -> frozenset[str]:
    """Return the permissions of staff that an operation with a permission needs."""
    return frozenset({permission, READ_CONTENT} if permission in CONTENT else {permission})


def allowed(user: Any, permission: str) -> bool:
    """Say whether a user has the permission and, if it shows content, may read content."""
    return all(user.has_perm(f"{APP}.{name}") for name in required(permission))


def non_atomic(view: V) -> V:
    """Return a view around which `ATOMIC_REQUESTS` opens no transaction on any database.

    The engine opens its own transactions, because it bounds their lock waits, retries them after a
    deadlock and reports an unavailable database. An index build must not run in a transaction.
    """
    for alias in connections:
        transaction.non_atomic_requests(using=alias)(view)
    return view


class Streamed(StreamingHttpResponse):
    """Stream blocks of bytes, none of them empty, under WSGI and under ASGI.

    Under ASGI a slow client holds no database connection: the connections of the request's thread
    are closed after each block, and the next block opens them again.
    """

    def __init__(self, blocks: Iterator[bytes], *, asynchronous: bool, content_type: str) -> None:
        super().__init__(
            _async_blocks(blocks) if asynchronous else blocks, content_type=content_type
        )


def close_connections() -> None:
    """Close the database connections of this thread, except inside a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


async def _async_blocks(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    def read_block() -> bytes:
        try:
            return next(blocks, b"")
        finally:
            close_connections()

    # Under ASGI Django reads a synchronous iterator into memory before it sends anything.
    while block := await sync_to_async(read_block)():
        yield block
