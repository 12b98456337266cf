"""What a project declares: syncs, and records to be searched by meaning.

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

F = TypeVar("F", bound=Callable[..., Any])
Document = dict[str, Any]

MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncDeclaration:
    """A function that brings an outside system's records into an entity."""

    name: str
    entity: str
    function: Callable[[Any], Iterable[Any]]
    mode: SyncMode
    params: Any
    key: str | None
    max_delete_ratio: float | None
    max_attempts: int

    @property
    def origin(self) -> str:
        """Where the function was defined."""
        return _origin(self.function)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDeclaration:
    """A vector index that is to hold the records of an entity."""

    entity: str
    index: str
    text: Callable[[Document], str | None]
    metadata: Callable[[Document], Mapping[str, Any]] | None
    chunk: Callable[[str], Iterable[Any]] | None
    embedder: Embedder | None
    replaces: str | None

    @property
    def origin(self) -> str:
        """Where the function that makes the text was defined."""
        return _origin(self.text)


class Registry:
    """Declarations by name. The same one may be made again, as when its module is reloaded.

    What a function declares while it runs, as a test does, is replaced and replaces.
    """

    def __init__(self) -> None:
        self.syncs: dict[str, SyncDeclaration] = {}
        self.indexes: dict[tuple[str, str], IndexDeclaration] = {}

    def add_sync(self, declared: SyncDeclaration) -> None:
        """Keep a sync; raises EngineConfigError when another function has its name."""
        _refuse_another(self.syncs.get(declared.name), declared, f"A sync {declared.name!r}")
        self.syncs[declared.name] = declared

    def add_index(self, declared: IndexDeclaration) -> None:
        """Keep an index; raises EngineConfigError when it is declared differently elsewhere."""
        known = self.indexes.get((declared.entity, declared.index))
        _refuse_another(known, declared, f"{declared.entity!r} in the index {declared.index!r}")
        self.indexes[declared.entity, declared.index] = declared

    def indexes_of(self, entity: str) -> list[IndexDeclaration]:
        """Return what is declared about an entity's records."""
        return [declared for declared in self.indexes.values() if declared.entity == entity]

    def sync(self, name: str) -> SyncDeclaration:
        """Return a sync; raises SyncNotFound."""
        try:
            return self.syncs[name]
        except KeyError:
            raise SyncNotFound(f"No sync {name!r} is declared") from None

    @contextmanager
    def empty(self) -> Iterator[None]:
        """Forget every declaration for a while, as a test may wish."""
        before = self.syncs, self.indexes
        self.syncs, self.indexes = {}, {}
        try:
            yield
        finally:
            self.syncs, self.indexes = before


registry = Registry()


def sync(
    *,
    entity: str,
    mode: SyncMode = "incremental",
    name: str | None = None,
    params: type | Mapping[str, Any] | None = None,
    key: str | None = None,
    max_delete_ratio: float | None = None,
    max_attempts: int = MAX_ATTEMPTS,
) -> Callable[[F], F]:
    """Declare a function as a sync into `entity`, under its own name unless `name` is given.

    The function takes a context and returns an iterable, as a generator does, of records and lists
    of records; with `key`, of plain documents whose `key` is their external id. `params`, a
    pydantic model or a JSON Schema, checks what a run is given. `max_attempts` is of runs that
    are enqueued. Raises InvalidInput, and EngineConfigError when another function has the name.
    """

    def declare(function: F) -> F:
        registry.add_sync(
            SyncDeclaration(
                name=inputs.name(name or getattr(function, "__name__", ""), "/name"),
                entity=inputs.name(entity, "/entity"),
                function=_importing(function),
                mode=cast(SyncMode, inputs.choice(mode, "/mode", "incremental", "full")),
                params=_checker(params),
                key=key if key is None else inputs.name(key, "/key"),
                max_delete_ratio=inputs.delete_ratio(max_delete_ratio, full=mode == "full"),
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
    """Declare that the vector index is to hold the records of an entity, by the text of each.

    `text` and `metadata` are made of a record's data; a record without a text is left out.
    `chunk` cuts a text into passages, which are text or have a `text`; without it, a record is
    one passage. `embedder` is the engine's unless given. `replaces` names the index that serves
    searches of these records until this one has all of them.

    It takes effect at once; as a decorator it returns what it is put above unchanged. Raises
    InvalidInput, and EngineConfigError when the pair is declared elsewhere.
    """
    if replaces == index:
        raise EngineConfigError(f"The index {index!r} replaces itself")
    registry.add_index(
        IndexDeclaration(
            entity=inputs.name(entity, "/entity"),
            index=inputs.name(index, "/index"),
            text=text,
            metadata=metadata,
            chunk=chunk,
            embedder=embedder,
            replaces=replaces if replaces is None else inputs.name(replaces, "/replaces"),
        )
    )
    return _unchanged


def _unchanged(decorated: F) -> F:
    return decorated


def _importing(function: Any) -> Any:
    """Return a function that a sync can be."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise EngineConfigError(f"The sync {_origin(function)} is async; declare a plain function")
    return function


def _checker(params: Any) -> Any:
    """Return what can check parameters."""
    if params is None or isinstance(params, Mapping) or hasattr(params, "model_validate"):
        return params
    raise EngineConfigError("A sync's params are a pydantic model or a JSON Schema as a dict")


def _refuse_another(known: Any, declared: Any, what: str) -> None:
    origins = [each.origin for each in (known, declared) if each is not None]
    if len(set(origins)) > 1 and not any("<locals>" in origin for origin in origins):
        raise EngineConfigError(f"{what} is declared twice: in {' and '.join(origins)}")


def _origin(function: Any) -> str:
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
