"""Canonical JSON: values that PostgreSQL's `jsonb` can store, validated before they are sent."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from datetime import date, time
from enum import Enum
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson

from mastra_engine.exceptions import InvalidInput

MAX_DEPTH = 64
MAX_BYTES = 64 * 1024 * 1024

_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1
#: The texts that orjson writes for floats from 1e16 to 1e20 and for minus zero. PostgreSQL's
#: `numeric` would return another number: for the former the shortest digits, read as an integer,
#: and for the latter zero.
_INEXACT_FLOAT = re.compile(rb"\de\+?1[6-9]|-0\.0(?!\d)")
#: The types that orjson serializes as text.
_WRITTEN_AS_TEXT = (date, time, UUID)

Path = tuple[str | int, ...]

#: Parse JSON text. Numbers beyond 64 bits become floats, as they were before serialization.
loads: Callable[[bytes | str], Any] = orjson.loads


def canonical(value: Any, path: Path = (), *, error: type[InvalidInput] = InvalidInput) -> bytes:
    """Return `value` as compact UTF-8 JSON with sorted keys, so equal documents have equal bytes.

    Raises `error` with the path of the first place that `jsonb` cannot store or cannot return
    unchanged: U+0000, lone surrogates, NaN and infinities, integers beyond 64 bits, keys that are
    not text, types that are not JSON, more than 64 levels or 64 MiB.
    """
    try:
        raw = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as refusal:
        fault = next(_faults(value, path), (path, str(refusal)))
        raise error(fault[1], path=pointer(fault[0])) from None
    if len(raw) > MAX_BYTES:
        message = f"must have at most {MAX_BYTES:,} bytes of JSON, got {len(raw):,}"
        raise error(message, path=pointer(path))
    # Walking the value in Python costs more than all the rest, so it is done only if the bytes
    # suggest a fault: orjson writes NaN as null, and it allows U+0000 and 254 levels.
    if (
        b"\\u0000" in raw
        or raw.count(b"{") + raw.count(b"[") > MAX_DEPTH
        or (b"null" in raw and orjson.loads(raw) != value)
    ):
        for place, message in _faults(value, path):
            raise error(message, path=pointer(place))
    if (b"e+1" in raw or b"e1" in raw or b"-0.0" in raw) and _INEXACT_FLOAT.search(raw):
        return orjson.dumps(_exact(orjson.loads(raw)), option=orjson.OPT_SORT_KEYS)
    return raw


def content_hash(raw: bytes) -> bytes:
    """Return the 16-byte hash of canonical JSON (BLAKE2b, RFC 7693)."""
    return blake2b(raw, digest_size=16).digest()


def text_fault(text: str) -> str | None:
    """Return the reason why PostgreSQL cannot store `text`, or None."""
    if "\0" in text:
        return "contains U+0000, which PostgreSQL cannot store"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "contains a lone surrogate, which is not valid Unicode text"
    return None


def pointer(path: Path) -> str:
    """Return a JSON pointer (RFC 6901) with unprintable characters of the keys escaped."""
    return "".join(f"/{_escaped(str(part))}" for part in path)


def _escaped(part: str) -> str:
    printable = part.encode("utf-8", "backslashreplace").decode().replace("\0", "\\u0000")
    return printable.replace("~", "~0").replace("/", "~1")


def _exact(value: Any) -> Any:
    """Return plain JSON with the floats that `numeric` would change replaced by integers."""
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_exact(item) for item in value]
    if isinstance(value, float) and abs(value) >= 1e16:
        return int(value) if _MIN_INTEGER <= value < _MAX_INTEGER else value
    return 0.0 if value == 0 and isinstance(value, float) else value


def _faults(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield (path, message) of each fault in document order, without recursion."""
    stack = [(value, path, 0)]
    while stack:
        node, place, depth = stack.pop()
        node = _serialized(node)
        if isinstance(node, dict | list | tuple):
            if depth == MAX_DEPTH:
                yield place[: len(path) + 8], f"must be nested at most {MAX_DEPTH} levels deep"
                return
            if isinstance(node, dict):
                yield from _key_faults(node, place)
            items = node.items() if isinstance(node, dict) else enumerate(node)
            children = [(child, (*place, key), depth + 1) for key, child in items]
            stack.extend(reversed(children))
        elif (message := _scalar_fault(node)) is not None:
            yield place, message


def _serialized(node: Any) -> Any:
    """Return the value that orjson serializes in place of an enum member or a dataclass."""
    if isinstance(node, Enum):
        node = node.value
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    return node


def _key_faults(node: dict[Any, Any], place: Path) -> Iterator[tuple[Path, str]]:
    for key in node:
        if not isinstance(key, str):
            yield place, f"has a key of type {type(key).__name__}; JSON keys must be text"
        elif (message := text_fault(key)) is not None:
            yield (*place, key), f"the key {message}"


def _scalar_fault(node: Any) -> str | None:
    if isinstance(node, str):
        return text_fault(node)
    if isinstance(node, float):
        return None if math.isfinite(node) else "must be a finite number"
    if isinstance(node, int):
        fits = _MIN_INTEGER <= node <= _MAX_INTEGER
        return None if fits else "must be an integer of at most 64 bits"
    if node is None or isinstance(node, _WRITTEN_AS_TEXT):
        return None
    return f"has the type {type(node).__name__}, which is not a JSON type"
