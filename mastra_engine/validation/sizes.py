"""Limits on the size of JSON documents, as PostgreSQL writes them."""

from __future__ import annotations

import re

from mastra_engine.exceptions import InvalidInput
from mastra_engine.validation.jsonb import Path, pointer

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_EXPONENT = re.compile(rb"(\d+)(?:\.(\d+))?[eE]([+-]?\d+)")


def written_size(raw: bytes) -> int:
    """Return the length of canonical JSON when PostgreSQL writes it as text, in bytes.

    `jsonb` writes numbers without exponents, so that six bytes such as 1e-300 become 302, and a
    space after each comma and colon.
    """
    bare = _STRING.sub(b"", raw)
    spaces = bare.count(b",") + bare.count(b":")
    numbers = _EXPONENT.finditer(bare) if b"e" in bare else ()
    return len(raw) + spaces + sum(_written_length(number) for number in numbers)


def limit_size(raw: bytes, most: int, path: Path) -> bytes:
    """Return canonical JSON if PostgreSQL writes it in at most `most` bytes; raise InvalidInput."""
    size = len(raw)
    if size <= most:
        size = written_size(raw)
    if size > most:
        message = f"must have at most {most:,} bytes as PostgreSQL writes it, got {size:,}"
        raise InvalidInput(message, path=pointer(path))
    return raw


def _written_length(number: re.Match[bytes]) -> int:
    """Return by how many bytes a number with an exponent grows when it is written without."""
    integer, fraction, exponent = number[1], number[2] or b"", int(number[3])
    digits, point = len(integer) + len(fraction), len(integer) + exponent
    if point <= 0:
        length = len("0.") - point + digits
    else:
        length = point if point >= digits else digits + len(".")
    return length - len(number[0])
