"""The engines of `MASTRA_ENGINE`, created on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from inspect import Parameter, signature
from threading import RLock
from typing import Any, cast

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.conf import engine_settings
from mastra_engine.exceptions import EngineConfigError, InvalidInput
from mastra_engine.protocols import AccessPolicy, Embedder, FactExtractor, Reranks, RunQueue
from mastra_engine.validation.inputs import count, days, seconds
from mastra_engine.validation.suggestions import unknown

DEFAULT_ALIAS = "default"
#: Options that hold an object of the project, and the protocol that each must satisfy.
PLUG_INS: dict[str, Any] = {
    "ACCESS_POLICY": Callable,
    "EMBEDDER": Embedder,
    "FACT_EXTRACTOR": FactExtractor,
    "RERANKER": Reranks,
    "TOKENIZER": Callable,
}

#: The validators of numeric options.
NUMBERS: dict[str, Callable[[Any, str], float]] = {
    "INDEX_LEASE": seconds,
    "LOCK_TIMEOUT": seconds,
    "RETENTION_DAYS": days,
    "SYNC_HISTORY": count,
    "SYNC_LEASE": seconds,
}


#: Options that the handler and the API use themselves.
HANDLER_OPTIONS = ("BACKEND", "TASKS", "ACCESS_POLICY")


class EngineHandler:
    """Maps the aliases of `MASTRA_ENGINE` to engines: `engines["default"]`.

    There is one engine per alias and process. An engine holds no connection, so threads share it;
    Django keeps one connection per thread.
    """

    #: Creates an engine's task queue from its alias and its option `TASKS`.
    make_queue: Callable[[str, dict[str, Any]], RunQueue] | None = None

    def __init__(self) -> None:
        self._engines: dict[str, MastraEngine] = {}
        self._policies: dict[str, AccessPolicy | None] = {}
        # Reentrant, because creating an engine imports modules that may use another engine.
        self._lock = RLock()

    def __getitem__(self, alias: str) -> MastraEngine:
        with self._lock:
            if alias not in self._engines:
                self._engines[alias] = self._create(alias)
            return self._engines[alias]

    def __iter__(self) -> Iterator[str]:
        return iter(engine_settings())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(map(repr, self))}>"

    def all(self) -> list[MastraEngine]:
        """Return every configured engine."""
        return [self[alias] for alias in self]

    def access_policy(self, alias: str) -> AccessPolicy | None:
        """Return the access policy of an engine's options, or None without one.

        Raises EngineConfigError if it cannot be imported or called.
        """
        with self._lock:
            if alias not in self._policies:
                self._policies[alias] = _access_policy(alias)
            return self._policies[alias]

    def reset(self) -> None:
        """Forget all engines, because the settings have changed."""
        with self._lock:
            self._engines.clear()
            self._policies.clear()

    def _create(self, alias: str) -> MastraEngine:
        configured = engine_settings()
        if alias not in configured:
            raise EngineConfigError(f"MASTRA_ENGINE: {unknown('engine alias', alias, configured)}")
        options = configured[alias]
        backend, tasks = options.pop("BACKEND", None), options.pop("TASKS", {})
        options.pop("ACCESS_POLICY", None)  # used by the API only
        try:
            if not isinstance(backend, str):
                raise InvalidInput("must be the dotted path of an engine class", path="/BACKEND")
            engine_class = import_string(backend)
            _refuse_unknown(options, engine_class)
            validated = {key.lower(): _validated(value, key) for key, value in options.items()}
            created: MastraEngine = engine_class(alias=alias, **validated)
        except (ImportError, AttributeError, TypeError, InvalidInput) as error:
            raise EngineConfigError(f"MASTRA_ENGINE[{alias!r}] is not valid: {error}") from error
        if self.make_queue is not None:
            created.queue = self.make_queue(alias, tasks)
        return created


def _access_policy(alias: str) -> AccessPolicy | None:
    policy = engine_settings().get(alias, {}).get("ACCESS_POLICY")
    try:
        return cast("AccessPolicy | None", _plug_in(policy, "ACCESS_POLICY"))
    except (ImportError, TypeError) as error:
        message = f"MASTRA_ENGINE[{alias!r}]['ACCESS_POLICY'] is not valid: {error}"
        raise EngineConfigError(message) from error


def _refuse_unknown(options: Mapping[str, Any], engine_class: Any) -> None:
    """Raise InvalidInput for an option that the engine class does not accept."""
    parameters = signature(engine_class).parameters
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    options_of_class = [name.upper() for name in parameters if name != "alias"]
    for key in options:
        if str(key).upper() not in options_of_class:
            raise InvalidInput(unknown("option", key, [*options_of_class, *HANDLER_OPTIONS]))


def _validated(value: Any, key: str) -> Any:
    if key in NUMBERS and value is not None:
        return NUMBERS[key](value, f"/{key}")
    return _plug_in(value, key)


def _plug_in(value: Any, key: str) -> Any:
    """Return the object of an option: the value itself, an instance of it, or its import.

    Only the options in `PLUG_INS` are resolved; a class is instantiated without arguments. Raises
    TypeError for an object that does not satisfy the option's protocol.
    """
    if key not in PLUG_INS or value is None:
        return value
    imported = import_string(value) if isinstance(value, str) else value
    plug_in = imported() if isinstance(imported, type) else imported
    if not isinstance(plug_in, PLUG_INS[key]):
        required = getattr(PLUG_INS[key], "__name__", str(PLUG_INS[key]))
        raise TypeError(f"{key} must be a {required}, not a {type(plug_in).__name__}")
    return plug_in


engines = EngineHandler()


class DefaultEngine(MastraEngine):
    """The default engine of `MASTRA_ENGINE`, looked up at each use, so it follows the settings.

    It has the attributes and the class of that engine: `isinstance(engine, PostgresEngine)` is true
    if the default engine is one.
    """

    def __init__(self) -> None:  # it has no stores of its own
        pass

    def __getattribute__(self, name: str) -> Any:
        return getattr(engines[DEFAULT_ALIAS], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(engines[DEFAULT_ALIAS], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(engines[DEFAULT_ALIAS], name)

    def __dir__(self) -> list[str]:
        # Completion must work while the settings are not valid.
        try:
            return dir(engines[DEFAULT_ALIAS])
        except EngineConfigError:
            return dir(MastraEngine)

    def __repr__(self) -> str:
        return repr(engines[DEFAULT_ALIAS])

    def __eq__(self, other: object) -> bool:
        if type(other) is DefaultEngine:
            return True
        return bool(engines[DEFAULT_ALIAS] == other)

    def __hash__(self) -> int:
        return hash(engines[DEFAULT_ALIAS])

    def __copy__(self) -> MastraEngine:
        return copy(engines[DEFAULT_ALIAS])

    def close(self) -> None:  # abstract in the base class; calls reach the engine's own method
        engines[DEFAULT_ALIAS].close()


engine: MastraEngine = DefaultEngine()


def PgMemory(connection_string: str | None = None) -> Memory:
    """Return the memory of the default engine, or of an engine on the database at a URL."""
    return _at(connection_string).memory


def PgVector(connection_string: str | None = None) -> Vectors:
    """Return the vectors of the default engine, or of an engine on the database at a URL."""
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
