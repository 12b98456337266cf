"""The tools: methods of the engine that a model may call, with their permissions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any, get_type_hints

from mastra_engine.api.access import read_permissions
from mastra_engine.api.arguments import Arguments
from mastra_engine.api.cursors import signed
from mastra_engine.api.vectors import vectors_in
from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.facts.service import Facts
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.conf import api_settings
from mastra_engine.mcp.callers import Caller
from mastra_engine.postgres.cancellation import time_limit
from mastra_engine.types import (
    Changes,
    ContextWindow,
    Entity,
    Fact,
    FactMatch,
    Match,
    Message,
    Page,
    QueryOptions,
    RecalledMessage,
    Record,
    RecordMatch,
    Thread,
    WorkingMemory,
)

_OWNER = ("resource_id",)
_OPTIONS = ("options",)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A function of the caller's engine, with the arguments of an engine method."""

    name: str
    description: str
    permissions: tuple[str, ...]
    takes: Arguments
    gives: Any
    fills: tuple[str, ...]
    searches: bool
    destructive: bool
    idempotent: bool
    function: Callable[..., Any]

    @property
    def writes(self) -> bool:
        """Whether the tool changes anything."""
        return any(not permission.startswith("view_") for permission in self.permissions)

    @property
    def throttle_scope(self) -> str:
        """The rate of `THROTTLE_RATES` that limits the tool."""
        if self.searches:
            return "search"
        return "write" if self.writes else "read"

    def call(self, caller: Caller, arguments: Mapping[str, Any]) -> Any:
        """Return the result for the arguments of a call; raises errors of the engine."""
        parsed = self.takes.from_body(arguments, reserved=())
        complete = self.takes.completed(parsed, caller, self.fills)
        with self._limited(caller.engine):
            return signed(self.function(caller, **complete), caller.principal)

    def _limited(self, engine: MastraEngine) -> AbstractContextManager[Any]:
        # The server does not notice that a client has left, and would finish its statement.
        if engine.database is None or self.throttle_scope == "write":
            return nullcontext()
        return time_limit(engine.database, api_settings().statement_timeout)


def tool(
    method: Callable[..., Any],
    *permissions: str,
    options: type | None = None,
    fills: tuple[str, ...] = (),
    searches: bool = False,
    destructive: bool = False,
    idempotent: bool = True,
) -> Callable[[Callable[..., Any]], Tool]:
    """Decorate a function that takes a caller and the arguments of an engine method.

    The access policy is asked for each of `permissions`, and for the permissions to read the values
    that the function returns. `fills` are arguments that are the caller's own if they are missing.
    The fields of `options` are arguments of the tool instead of the method's own `options`.
    """
    takes = Arguments(method) if options is None else Arguments(method, options, without=_OPTIONS)

    def decorate(function: Callable[..., Any]) -> Tool:
        gives = get_type_hints(function)["return"]
        return Tool(
            name=function.__name__,
            description=cleandoc(function.__doc__ or ""),
            permissions=tuple(dict.fromkeys((*permissions, *read_permissions(gives)))),
            takes=takes,
            gives=gives,
            fills=fills,
            searches=searches,
            destructive=destructive,
            idempotent=idempotent,
            function=function,
        )

    return decorate


def _of_owner(caller: Caller, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with the caller's own resource unless they name a thread."""
    if arguments.get("thread_id") is not None:
        return arguments
    return {**caller.defaults(_OWNER), **arguments}


@tool(Memory.recall, searches=True)
def recall(caller: Caller, **arguments: Any) -> Page[RecalledMessage]:
    """Search earlier messages by meaning and by words.

    Use it to find earlier messages of this or of other conversations. The search covers all
    threads of a resource, or the one thread in `thread_id`. Matches come with the messages around
    them, the best first; messages without a score are such neighbours.
    """
    return Page(caller.engine.memory.recall(**_of_owner(caller, arguments)))


@tool(Memory.save_memory, "add_message", fills=_OWNER, idempotent=False)
def save_messages(caller: Caller, **arguments: Any) -> Page[Message]:
    """Append messages to a thread.

    Either all messages are stored or none. A thread that does not exist is created. With an
    `idempotency_key`, a call that is repeated appends nothing.
    """
    return Page(caller.engine.memory.save_memory(**arguments))


@tool(Memory.get_context_window, "view_message", "view_workingmemory", searches=True)
def get_context_window(caller: Caller, **arguments: Any) -> ContextWindow:
    """Read the newest messages of a thread that fit a token budget, oldest first.

    A tool call is never separated from its result. With a `query`, older messages that answer it
    are put before the others.
    """
    return caller.engine.memory.get_context_window(**arguments)


@tool(Memory.get_working_memory)
def get_working_memory(caller: Caller, **arguments: Any) -> WorkingMemory:
    """Read the working memory: notes about a resource, or about one thread.

    Version 0 means that nothing was stored yet.
    """
    return caller.engine.memory.get_working_memory(**_of_owner(caller, arguments))


@tool(Memory.update_working_memory, "change_workingmemory", destructive=True)
def update_working_memory(caller: Caller, **arguments: Any) -> WorkingMemory:
    """Replace the working memory with `content`, or change some of its keys with `patch`.

    A text replaces the text and an object replaces the JSON. The patch is a JSON merge patch
    (RFC 7396): null removes a key.
    """
    return caller.engine.memory.update_working_memory(**_of_owner(caller, arguments))


@tool(Memory.list_threads, fills=_OWNER)
def list_threads(caller: Caller, **arguments: Any) -> Page[Thread]:
    """List the threads of a resource.

    The thread that was used last comes first, unless `order` is `asc`.
    """
    return caller.engine.memory.list_threads(**arguments)


@tool(MastraEngine.list_entities)
def list_entities(caller: Caller, **arguments: Any) -> Page[Entity]:
    """List entities, the named sets of synced records, with their ids.

    Without `connection_id`, those of all connections that the caller may access are listed.
    """
    return caller.engine.list_entities(**arguments)


@tool(MastraEngine.get_records, options=QueryOptions, fills=("connection_id",), searches=True)
def query_records(
    caller: Caller, *, entity_name: str, connection_id: str, **options: Any
) -> Page[Record]:
    """Query the records of an entity: filter, sort and page.

    `filters` is an object in MongoDB's notation, such as `{"age": {"$gte": 18}}`, or a list of
    conditions. `fields` names the parts of the data to return.
    """
    return caller.engine.get_records(
        entity_name=entity_name, connection_id=connection_id, options=options
    )


@tool(MastraEngine.search_records, fills=("connection_id",), searches=True)
def search_records(caller: Caller, **arguments: Any) -> Page[RecordMatch]:
    """Search synced records by meaning and by words.

    Each record occurs once, with its best matching chunk. Entities with a declared vector index
    can be searched. `min_score` can make the result empty.
    """
    return Page(caller.engine.search_records(**arguments))


@tool(MastraEngine.get_changes)
def get_changes(caller: Caller, **arguments: Any) -> Changes:
    """Read the change feed of an entity.

    The records that changed after revision `after` are returned in their latest state. The next
    call sends the result's `next` as `after`, and its `purged` if the first call sent 0.
    """
    return caller.engine.get_changes(**arguments)


@tool(Vectors.query, searches=True)
def search_vectors(caller: Caller, **arguments: Any) -> Page[Match]:
    """Search a vector index by a text or by a vector.

    The closest vectors are returned, best first; with `hybrid`, those that share words with the
    text, too. Without `namespace`, all namespaces that the caller may access are searched.
    """
    vectors = vectors_in(caller.engine, arguments["index_name"])
    return Page(vectors.query(**arguments))


@tool(Facts.remember, "add_fact", fills=_OWNER)
def remember_fact(caller: Caller, **arguments: Any) -> Page[Fact]:
    """Remember facts that were learned about a resource, such as the city in which a person lives.

    A fact has a subject, a predicate and an object. A new object of a subject and predicate
    supersedes the one before, which stays in the history; with `many` both hold. The same object
    again makes no new fact.
    """
    return Page(caller.engine.facts.remember(**arguments))


@tool(Facts.search, fills=_OWNER, searches=True)
def search_facts(caller: Caller, **arguments: Any) -> Page[FactMatch]:
    """Search the facts about a resource by meaning and by words.

    The facts that hold now are searched. `valid_at` searches those that were true at a time, and
    `known_at` those that were known then.
    """
    return Page(caller.engine.facts.search(**arguments))


TOOLS: dict[str, Tool] = {
    method.name: method
    for method in (
        recall,
        save_messages,
        get_context_window,
        get_working_memory,
        update_working_memory,
        list_threads,
        list_entities,
        query_records,
        search_records,
        get_changes,
        search_vectors,
        remember_fact,
        search_facts,
    )
}
