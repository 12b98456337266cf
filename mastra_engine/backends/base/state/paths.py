"""The texts of a document that are indexed, by paths such as `a.b`, `a[0]` and `a[*].b`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from mastra_engine.exceptions import InvalidInput

#: A step of a path: a key, a position, which counts from the end if it is negative, or every one.
Step = str | int | None

_SEGMENT = re.compile(r"([^\[\]]*)((?:\[(?:\*|-?\d{1,9})\])*)")
_POSITION = re.compile(r"\[(\*|-?\d+)\]")
#: The whole document, as LangGraph's stores name it.
WHOLE = "$"


def parse_path(path: str, argument: str) -> list[Step]:
    """Return the steps of a path; raise InvalidInput if it is malformed."""
    if path == WHOLE:
        return []
    steps: list[Step] = []
    for segment in path.split("."):
        match = _SEGMENT.fullmatch(segment)
        if match is None or not segment or not (match[1] or steps):
            message = f"must be a path such as a.b, a[0] or a[*].b, got {path!r:.80}"
            raise InvalidInput(message, path=argument)
        steps += [None] if match[1] == "*" else [match[1]] if match[1] else []
        steps += [None if at == "*" else int(at) for at in _POSITION.findall(match[2])]
    return steps


def indexed_text(value: Any, fields: Sequence[str] | None, *, most: int) -> str:
    """Return the texts of the fields, joined by line breaks, cut to `most` characters.

    Without fields these are all texts of the document, by the order of their keys.
    """
    texts: list[str] = []
    length = 0
    for text in _texts(value, fields):
        texts.append(text)
        length += len(text) + 1
        if length > most:
            break
    return "\n".join(texts)[:most]


def _texts(value: Any, fields: Sequence[str] | None) -> Iterator[str]:
    for field in [WHOLE] if fields is None else fields:
        for at_path in _values(value, parse_path(field, "/index")):
            yield from (text for text in _all_texts(at_path) if text)


def _values(value: Any, steps: Sequence[Step]) -> Iterator[Any]:
    """Yield the values at a path; there are several if it has a step to every member."""
    if not steps:
        yield value
        return
    for member in _members(value, steps[0]):
        yield from _values(member, steps[1:])


def _members(value: Any, step: Step) -> Iterator[Any]:
    """Yield the values at a step; as in filters, a key selects from the objects of an array too."""
    if step is None:
        yield from _children(value)
    elif isinstance(value, list) and isinstance(step, str) and not step.isdecimal():
        yield from (item[step] for item in value if isinstance(item, dict) and step in item)
    elif isinstance(value, list):
        position = int(step)
        yield from value[position:][:1] if position >= -len(value) else []
    elif isinstance(value, dict) and step in value:
        yield value[step]


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from (value[key] for key in sorted(value))


def _all_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for child in _children(value):
        yield from _all_texts(child)
