"""Finds engines by alias; everything is looked up when it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import RLock
from typing import Any, cast

from django.core.signals import setting_changed
from django.utils.connection import ConnectionProxy
from django.utils.module_loading import import_string

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.conf import engine_settings
from mastra_engine.exceptions import EngineConfigError, InvalidInput
from mastra_engine.protocols import AccessPolicy, Embedder, Reranks, RunQueue
from mastra_engine.validation.inputs import count, days, seconds

DEFAULT_ALIAS = "default"
#: Options that a project plugs in, and what each has to be.
PLUG_INS: dict[str, Any] = {
    "ACCESS_POLICY": Callable,
    "EMBEDDER": Embedder,
    "RERANKER": Reranks,
    "TOKENIZER": Callable,
}

#: Options that are numbers, and what checks each.
NUMBERS: dict[str, Callable[[Any, str], float]] = {
    "INDEX_LEASE": seconds,
    "LOCK_TIMEOUT": seconds,
    "RETENTION_DAYS": days,
    "SYNC_HISTORY": count,
    "SYNC_LEASE": seconds,
}


class EngineHandler:
    """`engines["alias"]`: one engine each per process, made of `MASTRA_ENGINE` on first use.

    An engine holds no connection, so threads share it; Django keeps their connections apart.
    """

    #: Makes what carries an engine's work to workers, of its alias and its option `TASKS`.
    make_queue: Callable[[str, dict[str, Any]], RunQueue] | None = None

    def __init__(self) -> None:
        self._engines: dict[str, MastraEngine] = {}
        self._making = RLock()

    def __getitem__(self, alias: str) -> MastraEngine:
        with self._making:
            if alias not in self._engines:
                self._engines[alias] = self._make(alias)
            return self._engines[alias]

    def __iter__(self) -> Iterator[str]:
        return iter(engine_settings())

    def all(self) -> list[MastraEngine]:
        """Return every configured engine."""
        return [self[alias] for alias in self]

    def access_policy(self, alias: str) -> AccessPolicy | None:
        """Return the access policy of an engine's settings, or None when they name none."""
        policy = engine_settings().get(alias, {}).get("ACCESS_POLICY")
        try:
            return cast("AccessPolicy | None", _plugged(policy, "ACCESS_POLICY"))
        except (ImportError, TypeError) as error:
            raise EngineConfigError(
                f"The ACCESS_POLICY of {alias!r} cannot be used: {error}"
            ) from error

    def reset(self) -> None:
        """Forget the engines, since the settings changed."""
        with self._making:
            self._engines.clear()

    def _make(self, alias: str) -> MastraEngine:
        try:
            options = engine_settings()[alias]
        except KeyError:
            raise EngineConfigError(f"MASTRA_ENGINE has no engine {alias!r}") from None
        backend, tasks = options.pop("BACKEND", None), options.pop("TASKS", {})
        options.pop("ACCESS_POLICY", None)  # the API's
        try:
            given = {key.lower(): _checked(value, key) for key, value in options.items()}
            made: MastraEngine = import_string(backend)(alias=alias, **given)
        except (ImportError, AttributeError, TypeError, InvalidInput) as error:
            raise EngineConfigError(f"MASTRA_ENGINE[{alias!r}] cannot be used: {error}") from error
        if self.make_queue is not None:
            made.queue = made.memory.queue = self.make_queue(alias, tasks)
        return made


def _checked(value: Any, key: str) -> Any:
    if key in NUMBERS and value is not None:
        return NUMBERS[key](value, f"/{key}")
    return _plugged(value, key)


def _plugged(value: Any, key: str) -> Any:
    """A plug-in may be an object, a class to be called, or the dotted path of either."""
    if key not in PLUG_INS or value is None:
        return value
    found = import_string(value) if isinstance(value, str) else value
    plug_in = found() if isinstance(found, type) else found
    if not isinstance(plug_in, PLUG_INS[key]):
        raise TypeError(f"a {type(plug_in).__name__} cannot be its {key}")
    return plug_in


engines = EngineHandler()
#: The default engine; a name for it that is bound when it is used.
engine: MastraEngine = cast(MastraEngine, ConnectionProxy(cast(Any, engines), DEFAULT_ALIAS))


def PgMemory(connection_string: str | None = None) -> Memory:
    """Return the default engine's memory, or that of the database at a URL."""
    return _at(connection_string).memory


def PgVector(connection_string: str | None = None) -> Vectors:
    """Return the default engine's vectors, or those of the database at a URL."""
    return _at(connection_string).vectors


def _at(url: str | None) -> MastraEngine:
    if url is None:
        return engine
    from mastra_engine.backends.postgres import PostgresEngine

    return PostgresEngine(url=url)


def _on_setting_changed(*, setting: str, **_: Any) -> None:
    if setting == "MASTRA_ENGINE":
        engines.reset()


setting_changed.connect(_on_setting_changed, dispatch_uid="mastra_engine")
