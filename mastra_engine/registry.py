"""The declarations of a project: its syncs, and the vector indexes of its records.

A declaration takes effect when its module is imported. Django imports the module `syncs` of each
installed app.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from mastra_engine.exceptions import EngineConfigError, SyncNotFound
from mastra_engine.protocols import Embedder
from mastra_engine.types import SyncMode
from mastra_engine.validation import inputs
from mastra_engine.validation.suggestions import unknown

F = TypeVar("F", bound=Callable[..., Any])
Document = dict[str, Any]

MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncDeclaration:
    """A function that reads records from a source system into an entity."""

    name: str
    entity: str
    function: Callable[[Any], Iterable[Any]]
    mode: SyncMode
    params: Any
    key: str | None
    max_delete_ratio: float | None
    allow_empty: bool
    max_attempts: int

    @property
    def origin(self) -> str:
        """The module and qualified name of the function."""
        return _origin(self.function)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDeclaration:
    """A vector index of an entity's records."""

    entity: str
    index: str
    text: Callable[[Document], str | None]
    metadata: Callable[[Document], Mapping[str, Any]] | None
    chunk: Callable[[str], Iterable[Any]] | None
    embedder: Embedder | None
    replaces: str | None

    @property
    def origin(self) -> str:
        """The module and qualified name of the function that returns a record's text."""
        return _origin(self.text)


class Registry:
    """Declarations by name.

    A declaration may be repeated, for example when its module is reloaded. Declarations of nested
    functions, as in tests, replace each other.
    """

    def __init__(self) -> None:
        self.syncs: dict[str, SyncDeclaration] = {}
        self.indexes: dict[tuple[str, str], IndexDeclaration] = {}

    def __repr__(self) -> str:
        indexes = [f"{entity}/{index}" for entity, index in self.indexes]
        return f"<{type(self).__name__} syncs={sorted(self.syncs)} indexes={sorted(indexes)}>"

    def add_sync(self, declared: SyncDeclaration) -> None:
        """Register a sync; raises EngineConfigError if another function has its name."""
        _refuse_another(self.syncs.get(declared.name), declared, f"The sync {declared.name!r}")
        self.syncs[declared.name] = declared

    def add_index(self, declared: IndexDeclaration) -> None:
        """Register an index; raises EngineConfigError if another function declares it."""
        existing = self.indexes.get((declared.entity, declared.index))
        subject = f"The index {declared.index!r} of the entity {declared.entity!r}"
        _refuse_another(existing, declared, subject)
        self.indexes[declared.entity, declared.index] = declared

    def indexes_of(self, entity: str) -> list[IndexDeclaration]:
        """Return the indexes that are declared for an entity's records."""
        return [declared for declared in self.indexes.values() if declared.entity == entity]

    def sync(self, name: str) -> SyncDeclaration:
        """Return a sync's declaration; raises SyncNotFound."""
        try:
            return self.syncs[name]
        except KeyError:
            raise SyncNotFound(unknown("sync", name, self.syncs), name=name) from None

    @contextmanager
    def empty(self) -> Iterator[None]:
        """Remove all declarations within the context, for tests."""
        saved = self.syncs, self.indexes
        self.syncs, self.indexes = {}, {}
        try:
            yield
        finally:
            self.syncs, self.indexes = saved


registry = Registry()


def sync(
    *,
    entity: str,
    mode: SyncMode = "incremental",
    name: str | None = None,
    params: type | Mapping[str, Any] | None = None,
    key: str | None = None,
    max_delete_ratio: float | None = None,
    allow_empty: bool = False,
    max_attempts: int = MAX_ATTEMPTS,
) -> Callable[[F], F]:
    """Declare a function as a sync into `entity`, under its own name unless `name` is given.

    The function takes a `SyncContext` and returns or yields records and lists of records. With
    `key`, it yields plain documents, and the value under `key` is the external id. `params` is a
    pydantic model or a JSON Schema that validates a run's parameters. A full run in which the
    source yields nothing fails instead of deleting all records, unless `allow_empty` is true or the
    function returns an empty list. `max_attempts` applies to enqueued runs. Raises InvalidInput,
    and EngineConfigError if another function has the name.
    """

    checked_mode = cast(SyncMode, inputs.choice(mode, "/mode", "incremental", "full"))

    def declare(function: F) -> F:
        registry.add_sync(
            SyncDeclaration(
                name=inputs.name(name or getattr(function, "__name__", ""), "/name"),
                entity=inputs.name(entity, "/entity"),
                function=_sync_function(function),
                mode=checked_mode,
                params=_params_model(params),
                key=key if key is None else inputs.name(key, "/key"),
                max_delete_ratio=inputs.delete_ratio(max_delete_ratio, full=checked_mode == "full"),
                allow_empty=inputs.empty_allowed(allow_empty, full=checked_mode == "full"),
                max_attempts=inputs.count(max_attempts, "/max_attempts", least=1),
            )
        )
        return function

    return declare


def index_records(
    *,
    entity: str,
    index: str,
    text: Callable[[Document], str | None],
    metadata: Callable[[Document], Mapping[str, Any]] | None = None,
    chunk: Callable[[str], Iterable[Any]] | None = None,
    embedder: Embedder | None = None,
    replaces: str | None = None,
) -> Callable[[F], F]:
    """Declare a vector index of an entity's records.

    `text` and `metadata` are functions of a record's data; a record without a text is not indexed.
    `chunk` splits a text into chunks, which are text or objects with a `text`; without it, a
    record is one chunk. `embedder` defaults to the engine's. `replaces` names the index that
    answers searches until this one covers all records.

    The declaration takes effect immediately. Used as a decorator, it returns the decorated object
    unchanged. Raises InvalidInput, and EngineConfigError if another module declares the index.
    """
    index_name = inputs.name(index, "/index")
    replaced_name = None if replaces is None else inputs.name(replaces, "/replaces")
    if replaced_name == index_name:
        raise EngineConfigError(f"The index {index_name!r} cannot replace itself")
    registry.add_index(
        IndexDeclaration(
            entity=inputs.name(entity, "/entity"),
            index=index_name,
            text=text,
            metadata=metadata,
            chunk=chunk,
            embedder=embedder,
            replaces=replaced_name,
        )
    )
    return _unchanged


def _unchanged(decorated: F) -> F:
    return decorated


def _sync_function(function: Any) -> Any:
    """Return the function of a sync; raises EngineConfigError for an async one."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise EngineConfigError(
            f"The sync {_origin(function)} is async; declare a synchronous function"
        )
    return function


def _params_model(params: Any) -> Any:
    """Return the pydantic model or JSON Schema of a sync's parameters, or None."""
    if params is None or isinstance(params, Mapping) or hasattr(params, "model_validate"):
        return params
    raise EngineConfigError(
        f"params must be a pydantic model or a JSON Schema (a dict), not {type(params).__name__}"
    )


def _refuse_another(existing: Any, declared: Any, subject: str) -> None:
    origins = [declaration.origin for declaration in (existing, declared) if declaration]
    if len(set(origins)) > 1 and not any("<locals>" in origin for origin in origins):
        raise EngineConfigError(f"{subject} is declared twice: in {' and '.join(origins)}")


def _origin(function: Any) -> str:
    definition = function if hasattr(function, "__qualname__") else type(function)
    return f"{definition.__module__}.{definition.__qualname__}"
