"""Canonical JSON: values that PostgreSQL's `jsonb` can store, validated before they are sent."""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from hashlib import blake2b
from numbers import Integral, Rational, Real
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
#: Datetimes are passed to `_replacement`, because orjson writes each with its own offset: the texts
#: of one instant would differ, and texts would not sort by time.
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME

# Runs of characters are matched at once, which takes a twentieth of the time of one after another.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_EXPONENT = re.compile(rb"(\d+)(?:\.(\d+))?[eE]([+-]?\d+)")
#: The factor by which a document can grow at most: the seven bytes of "5e-324," become 328.
_GROWTH = 60

Path = tuple[str | int, ...]

#: Parse JSON text. Numbers beyond 64 bits become floats, as they were before serialization.
loads: Callable[[bytes | str], Any] = orjson.loads


def canonical(value: Any, path: Path = (), *, error: type[InvalidInput] = InvalidInput) -> bytes:
    """Return `value` as compact UTF-8 JSON with sorted keys, so equal documents have equal bytes.

    Raises `error` with the path of the first place that `jsonb` cannot store or cannot return
    unchanged: U+0000, lone surrogates, NaN and infinities, integers beyond 64 bits, keys that are
    not text, types that are not JSON, more than 64 levels or 64 MiB. Subclasses of JSON's types
    and enum members are written as the values they stand for, and aware datetimes in UTC.
    """
    try:
        raw = orjson.dumps(value, default=_replacement, option=_OPTIONS)
    except TypeError as refusal:
        for place, message in _faults(value, path):
            raise error(message, path=pointer(place)) from None
        try:
            raw = orjson.dumps(plain_json(value), default=_replacement, option=_OPTIONS)
        except TypeError:
            raise error(str(refusal), path=pointer(path)) from None
    if len(raw) > MAX_BYTES:
        message = f"must have at most {MAX_BYTES:,} bytes of JSON, got {len(raw):,}"
        raise error(message, path=pointer(path))
    # A document that PostgreSQL writes in more than a gigabyte could be stored and never read.
    if (size := excessive_size(raw, MAX_BYTES)) is not None:
        message = f"must have at most {MAX_BYTES:,} bytes as PostgreSQL writes it, got {size:,}"
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


def excessive_size(raw: bytes, most: int) -> int | None:
    """Return the written size of canonical JSON if it has more than `most` bytes, or None.

    Most documents are so short that their length alone excludes it.
    """
    if len(raw) * _GROWTH <= most:
        return None
    size = written_size(raw)
    return size if size > most else None


def written_size(raw: bytes) -> int:
    """Return the length of canonical JSON when PostgreSQL writes it as text, in bytes.

    `jsonb` writes numbers without exponents, so that six bytes such as 1e-300 become 302, and a
    space after each comma and colon.
    """
    bare = _STRING.sub(b"", raw)
    spaces = bare.count(b",") + bare.count(b":")
    numbers = _EXPONENT.finditer(bare) if b"e" in bare else ()
    return len(raw) + spaces + sum(_written_length(number) for number in numbers)


def _written_length(number: re.Match[bytes]) -> int:
    """Return by how many bytes a number with an exponent grows when it is written without."""
    integer, fraction, exponent = number[1], number[2] or b"", int(number[3])
    digits, point = len(integer) + len(fraction), len(integer) + exponent
    if point <= 0:
        length = len("0.") - point + digits
    else:
        length = point if point >= digits else digits + len(".")
    return length - len(number[0])


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


def utc_text(value: datetime) -> str:
    """Return a datetime as ISO 8601, in UTC if it is aware; raises OverflowError.

    It is built of the fields, because subclasses override `isoformat` and `astimezone`.
    """
    plain = datetime(*_date_of(value), *_time_of(value), tzinfo=UTC)
    if (offset := value.utcoffset()) is None:
        return plain.replace(tzinfo=None).isoformat()
    return (plain - offset).isoformat()


def _date_of(value: date) -> tuple[int, int, int]:
    return value.year, value.month, value.day


def _time_of(value: datetime | time) -> tuple[int, int, int, int]:
    return value.hour, value.minute, value.second, value.microsecond


def _replacement(value: Any) -> Any:
    """Return the JSON value of an object that orjson does not serialize; raises TypeError."""
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return date(*_date_of(value)).isoformat()
    if isinstance(value, time) and value.tzinfo is None:
        return time(*_time_of(value)).isoformat()
    if isinstance(value, UUID):
        return str(UUID(int=value.int))
    if isinstance(value, tuple):
        return [*value]
    if isinstance(value, Integral):  # NumPy's integers are not instances of int
        return int(value)
    if isinstance(value, Real) and not isinstance(value, Rational):
        return float(value)
    numpy = sys.modules.get("numpy")  # which is optional
    if numpy is not None and isinstance(value, numpy.bool_):
        return bool(value)
    raise TypeError(_type_fault(value))


def _type_fault(value: Any) -> str:
    """Return why a value is not JSON, with a remedy for types that have several JSON forms."""
    if isinstance(value, Decimal):
        return (
            "is a Decimal, which JSON does not have: store str(value) to keep all digits, or "
            "float(value) to compare it as a number"
        )
    if isinstance(value, time):
        return "is a time with a time zone, which has no date: store a datetime, or text"
    if isinstance(value, bytes | bytearray | memoryview):
        return "is bytes, which JSON does not have: store text, such as Base64"
    if isinstance(value, set | frozenset):
        return "is a set, which JSON does not have: store sorted(value)"
    return f"has the type {type(value).__name__}, which is not a JSON type"


def plain_json(value: Any, *, depth: int = 0) -> Any:
    """Return a value with plain text and plain keys, at every level that JSON may have.

    Deeper levels are returned unchanged; `canonical` refuses them.
    """
    value = _serialized(value)
    if depth <= MAX_DEPTH:
        if isinstance(value, Mapping):
            return {
                plain_text(key): plain_json(item, depth=depth + 1) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [plain_json(item, depth=depth + 1) for item in value]
    return value


def plain_keys(value: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a mapping as a dict; keys that stand for text become plain text."""
    return {plain_text(key): item for key, item in value.items()}


def plain_text(value: Any) -> Any:
    """Return the text of an enum member or of a subclass of `str`; other values unchanged.

    `str(value)` would call `__str__`, which the enum or the subclass may have overridden.
    """
    while isinstance(value, Enum):
        value = value.value
    if isinstance(value, str) and type(value) is not str:
        return str.__str__(value)
    return value


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
            children = [(child, (*place, plain_text(key)), depth + 1) for key, child in items]
            stack.extend(reversed(children))
        elif (message := _scalar_fault(node)) is not None:
            yield place, message


def _serialized(node: Any) -> Any:
    """Return the JSON value that an enum member, a subclass of `str` or a dataclass stands for."""
    node = plain_text(node)
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    return node


def _key_faults(node: dict[Any, Any], place: Path) -> Iterator[tuple[Path, str]]:
    plain_keys: set[Any] = set()
    for original in node:
        key = plain_text(original)
        if not isinstance(key, str):
            yield place, f"has a key of type {type(key).__name__}; JSON keys must be text"
        elif (message := text_fault(key)) is not None:
            yield (*place, key), f"the key {message}"
        elif key in plain_keys:
            yield (*place, key), "the key occurs twice, as text and as an enum member"
        plain_keys.add(key)


def _scalar_fault(node: Any) -> str | None:
    if isinstance(node, str):
        return text_fault(node)
    if isinstance(node, float):
        return None if math.isfinite(node) else "must be a finite number"
    if isinstance(node, int):
        fits = _MIN_INTEGER <= node <= _MAX_INTEGER
        return None if fits else "must be an integer of at most 64 bits"
    if node is None:
        return None
    try:
        replacement = _replacement(node)
    except TypeError:
        return _type_fault(node)
    except OverflowError:
        return "must be in the years 1 to 9999 in UTC"
    return None if isinstance(replacement, str) else _scalar_fault(replacement)
