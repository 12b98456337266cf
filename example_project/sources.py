"""Real data that exists on every machine with Python, as records."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pydoc_data.topics import topics
from typing import Any

from mastra_engine.types import RecordInput

#: The connection of all syncs of this project, so that the demo and the desk share their records.
CONNECTION = "example"

#: Topics that are chapters: they repeat the text of other topics.
CHAPTERS = {"Compound statements", "Special method names"}


def packages() -> Iterator[RecordInput]:
    """Yield the Python distributions that are installed: an external source that really changes."""
    for distribution in distributions():
        if name := _field(distribution, "Name"):
            yield RecordInput(name.lower(), _package(distribution))


def reference() -> Iterator[RecordInput]:
    """Yield the topics of the Python language reference."""
    for name, body in topics.items():
        title = next((line for line in body.splitlines() if line.strip()), name)
        data = {"title": title.strip("* "), "body": body, "words": len(body.split())}
        yield RecordInput(name, data)


def _package(distribution: Distribution) -> dict[str, Any]:
    return {
        "name": _field(distribution, "Name"),
        "version": distribution.version,
        "summary": _field(distribution, "Summary"),
        "licence": _field(distribution, "License-Expression") or _field(distribution, "License"),
        "keywords": sorted(
            word.strip() for word in _field(distribution, "Keywords").split(",") if word.strip()
        ),
        "requires": sorted(distribution.requires or []),
        "files": len(distribution.files or []),
        "python": {"requires": _field(distribution, "Requires-Python")},
    }


def _field(distribution: Distribution, name: str) -> str:
    """Return a metadata field, or an empty string: Python deprecates reading a missing field."""
    metadata = distribution.metadata
    return metadata[name] if name in metadata else ""  # noqa: SIM401 - no get() before 3.12
