"""Arguments and values of a checkpointer, validated and serialized before they are sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from mastra_engine.exceptions import InvalidInput
from mastra_engine.validation import inputs
from mastra_engine.validation.jsonb import canonical, pointer

#: A statement contains values as hexadecimal text, and PostgreSQL's limit is a gigabyte.
MAX_BYTES = 256 * 1024 * 1024


class Key(NamedTuple):
    """The place of checkpoints: None means all threads, all namespaces or all checkpoints."""

    thread_id: str | None
    checkpoint_ns: str | None
    checkpoint_id: str | None

    @property
    def config(self) -> dict[str, dict[str, str | None]]:
        """Return the key as LangGraph's configuration."""
        return {"configurable": self._asdict()}


def key(config: Any, *, namespace: str | None = "") -> Key:
    """Return the place that a configuration names, in `namespace` unless it names another."""
    values, path = configurable(config, "/config"), "/config/configurable"
    if values.get("checkpoint_ns") is not None:
        namespace = values["checkpoint_ns"]
    return Key(
        identifier(values.get("thread_id"), f"{path}/thread_id"),
        None if namespace is None else inputs.text(namespace, f"{path}/checkpoint_ns"),
        checkpoint_id(values, path),
    )


def configurable(config: Any, path: str) -> Mapping[str, Any]:
    values = config.get("configurable") if isinstance(config, Mapping) else None
    if not isinstance(values, Mapping):
        raise InvalidInput('must be a mapping with the key "configurable"', path=path)
    return values


def checkpoint_id(values: Mapping[str, Any], path: str) -> str | None:
    """Return the id of a checkpoint; a missing or empty one is None."""
    value = values.get("checkpoint_id")
    return identifier(value, f"{path}/checkpoint_id") if value else None


def identifier(value: Any, path: str) -> str:
    """Return `value` if it is valid as an id: text, an integer or a UUID of 1 to 512 bytes."""
    is_number = isinstance(value, int | UUID) and not isinstance(value, bool)
    return inputs.name(str(value) if is_number else value, path)


def conditions(
    place: Key | None, filter: Mapping[str, Any] | None = None, before: Any = None
) -> dict[str, Any]:
    """Return the parameters of the statement READ.

    The statement compares text and numbers in the metadata; matches() compares everything.
    """
    plain = {
        name: value
        for name, value in (filter or {}).items()
        if type(value) in (str, int, float) and is_json({name: value})
    }
    older = configurable(before, "/before") if before else {}
    return {
        **(place or Key(None, None, None))._asdict(),
        "before": checkpoint_id(older, "/before/configurable"),
        "metadata": canonical(plain).decode(),
        **dict.fromkeys(("after_thread_id", "after_checkpoint_ns", "after_checkpoint_id")),
    }


def matches(metadata: Mapping[str, Any], filter: Mapping[str, Any] | None) -> bool:
    return all(metadata.get(name) == value for name, value in (filter or {}).items())


def versions(value: Mapping[str, Any], *path: str) -> str:
    """Return the versions of channels as JSON."""
    for channel, version in value.items():
        if isinstance(version, bool) or not isinstance(version, str | int | float):
            message = f"must be text or a number, not {type(version).__name__}"
            raise InvalidInput(message, path=pointer((*path, channel)))
    return canonical(dict(value), path).decode()


def split_metadata(metadata: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the metadata that `jsonb` returns unchanged, as JSON, and the rest."""
    plain = {name: value for name, value in metadata.items() if is_json({name: value})}
    rest = {name: value for name, value in metadata.items() if name not in plain}
    return canonical(plain).decode(), rest


def is_json(value: Any) -> bool:
    """Return whether `jsonb` can store the value; tuples are lists, as they are in msgpack."""
    try:
        canonical(value)
    except InvalidInput:
        return False
    return _has_json_types(value)


def _has_json_types(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_has_json_types(part) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple):
        return all(map(_has_json_types, value))
    return value is None or type(value) in (bool, int, float, str)


class Serialized(NamedTuple):
    """Columns of the values of channels, in the same order."""

    channels: list[str]
    types: list[str]
    values: list[bytes]


def serialized(serde: Any, values: Iterable[tuple[str, str, Any]]) -> Serialized:
    """Serialize values, each after its channel and its path.

    Raises InvalidInput with the path of the first value that cannot be serialized or does not fit.
    """
    columns, size = Serialized([], [], []), 0
    for channel, path, value in values:
        type_, data = dumped(serde, value, path)
        size += len(data)
        if size > MAX_BYTES:
            message = f"is too large: the values take {size:,} bytes, at most {MAX_BYTES:,} fit"
            raise InvalidInput(message, path=path)
        columns.channels.append(channel)
        columns.types.append(type_)
        columns.values.append(data)
    return columns


def dumped(serde: Any, value: Any, path: str) -> tuple[str, bytes]:
    """Serialize a value; methods of its own may be called, which can raise anything."""
    try:
        type_, data = serde.dumps_typed(value)
    except Exception as error:
        message = (
            f"cannot be serialized ({type(value).__name__}, {type(error).__name__}): it must "
            "consist of types that LangGraph's serializer knows, without cycles"
        )
        raise InvalidInput(message, path=path) from error
    return type_, bytes(data)
