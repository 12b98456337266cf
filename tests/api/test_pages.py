"""The reference of the API's operations is written from their examples, which other tests run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from mastra_engine.web import CONTENT
from tests.api.catalogue import Case, cases

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "api-operations.md"
HEAD = """# Operations of the API

This page shows every operation with an example that the tests run. In the examples, the signed-in
user has the primary key 7 and one resource, connection and namespace of that name. The rules that
apply to all operations are in [the API](api.md). The description at `api/v1/schema/` lists the
types of all arguments. `make openapi` writes this page.
"""


def page() -> str:
    sections = (line for noun in NOUNS for line in section(noun))
    return "\n".join([HEAD, *sections, *permissions()])


def permissions() -> Iterator[str]:
    """Yield a table of the permissions of each operation."""
    yield """## Permissions

An operation needs all of its permissions. They include those to view each object that the response
contains or that the operation copies. Permissions in bold show content: staff also needs
`read_content` for them.

| Operation | Permissions |
|---|---|"""
    for case in cases():
        names = ", ".join(
            f"**`{name}`**" if name in CONTENT else f"`{name}`"
            for name in case.operation.permissions
        )
        yield f"| `{case.operation.name}` | {names} |"
    yield ""


NOUNS = list(dict.fromkeys(case.noun for case in cases()))


def section(noun: str) -> Iterator[str]:
    yield f"## {noun.capitalize()}\n"
    for case in cases():
        if case.noun == noun:
            yield from described(case)


def described(case: Case) -> Iterator[str]:
    route = re.sub(r"<\w+:(\w+)>", r"{\1}", case.route)
    example = case.operation.example
    yield f"### `{case.method.upper()} /api/{route}`\n"
    yield f"{case.description}\n"
    asks = ", ".join(f"`{permission}`" for permission in case.operation.permissions)
    response = {"Idempotency-Key": case.operation.keyed, "If-Match": case.operation.versioned}
    takes = " and ".join(f"`{header}`" for header, does in response.items() if does)
    yield f"Required permissions: {asks}.{takes and f' Accepts {takes}.'}\n"
    query = f"?{urlencode(example.query)}" if example.query else ""
    yield f"```http\n{case.method.upper()} {case.url(example.path)}{query}"
    if example.body is not None:
        yield f"\n{json_text(example.body)}"
    yield "```\n"
    if isinstance(example.answer, str):
        yield f"```text\n{example.answer.rstrip()}\n```\n"
    elif example.answer is None:
        yield "The response is empty, with status 204.\n"
    else:
        yield f"```json\n{json_text(example.answer)}\n```\n"


def json_text(value: object) -> str:
    """Return JSON with short values in one line."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    short = re.compile(r"([\[{])\n\s+([^\[\]{}]{0,300}?)\n\s+([\]}])")

    def joined(match: re.Match[str]) -> str:
        line = re.sub(r"\n\s+", " ", match[2])
        return f"{match[1]}{line}{match[3]}" if len(line) < 60 else match[0]

    return short.sub(joined, text)


def test_the_reference_of_the_operations_is_current() -> None:
    if os.environ.get("WRITE_GOLDEN"):
        PAGE.write_text(page())
    assert page() == PAGE.read_text(), f"Run `make openapi`, and read the changes of {PAGE}"
