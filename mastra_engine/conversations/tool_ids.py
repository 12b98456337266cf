"""Ids and names of tools that the providers accept."""

from __future__ import annotations

import re
from hashlib import blake2b

#: The longest id that OpenAI accepts.
MAX_ID = 64
#: The longest name of a tool that OpenAI accepts.
MAX_NAME = 64
#: Space for the number that makes a repeated id unique, where tokens are counted.
ID_SUFFIX = "_000"
#: The name of a tool where a call has none.
UNNAMED_TOOL = "unnamed_tool"

_REFUSED = re.compile(r"[^a-zA-Z0-9_-]")
_HASH_BYTES = 6


def sendable_id(id: str) -> str:
    """Return an id as Anthropic accepts it: letters, digits, `_` and `-`, at most `MAX_ID`.

    Equal ids stay equal and different ids stay different: an id that has to change ends in a
    hash of the original. An empty id becomes "call".
    """
    return _shortened(id, _REFUSED.sub("_", id))


def short_id(id: str) -> str:
    """Return an id as OpenAI accepts it: not empty, and at most `MAX_ID` characters.

    Other providers behind OpenAI's format use characters in ids that Anthropic refuses, and some
    of their models read the ids, so that all characters stay.
    """
    return _shortened(id, id)


def sendable_name(name: str) -> str:
    """Return the name of a tool as the providers accept it."""
    return _REFUSED.sub("_", name)[:MAX_NAME] or UNNAMED_TOOL


class UniqueIds:
    """Assigns the ids of the tool calls in one request, each different from all others.

    Models reuse ids in later turns, and Anthropic refuses a request that holds one twice.
    """

    def __init__(self) -> None:
        self._assigned: set[str] = set()

    def assign(self, id: str) -> str:
        """Return `id` if no call of the request has it, or else with a number appended."""
        candidate, number = id, 1
        while candidate in self._assigned:
            number += 1
            suffix = f"_{number}"
            candidate = f"{id[: MAX_ID - len(suffix)]}{suffix}"
        self._assigned.add(candidate)
        return candidate


def _shortened(original: str, id: str) -> str:
    if not original:
        return "call"
    if id == original and len(id) <= MAX_ID:
        return id
    digest = blake2b(original.encode(), digest_size=_HASH_BYTES).hexdigest()
    return f"{id[: MAX_ID - len(digest) - 1]}_{digest}"
