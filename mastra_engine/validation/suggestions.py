"""Messages for unknown names: the nearest known name, then all known names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from mastra_engine.exceptions import quoted

#: More known names than these are not listed; a suggestion is made all the same.
MAX_LISTED = 40


def unknown(kind: str, name: object, known_names: Iterable[object]) -> str:
    """Return `unknown field "filter"; did you mean "filters"? Known fields: …`.

    `kind` is a singular noun. The suggestion ignores case and surrounding "$", "@" and "_"; it is
    left out when no known name is similar, and the list when it is empty.
    """
    names = list(map(str, known_names))
    message = f"unknown {kind} {quoted(name if isinstance(name, str) else repr(name))}"
    if (nearest := _nearest(str(name), names)) is not None:
        message += f"; did you mean {quoted(nearest)}?"
    elif names:
        message += "."
    if names:
        listed = ", ".join(names[:MAX_LISTED]) + (", …" if len(names) > MAX_LISTED else "")
        message += f" Known {_plural(kind)}: {listed}"
    return message


def _nearest(name: str, names: list[str]) -> str | None:
    simplified = {_simplified(candidate): candidate for candidate in reversed(names)}
    matches = get_close_matches(_simplified(name[:100]), list(simplified), n=1, cutoff=0.6)
    return simplified[matches[0]] if matches else None


def _simplified(name: str) -> str:
    return name.lower().replace("_", "").strip("$@")


def _plural(noun: str) -> str:
    if noun.endswith("y"):
        return f"{noun[:-1]}ies" if noun[-2] not in "aeiou" else f"{noun}s"
    return f"{noun}s"
