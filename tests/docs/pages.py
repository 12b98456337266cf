"""The pages of the documentation, parsed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]

#: The pages that show a client, by the language of their blocks, which run against a server.
CLIENTS = {
    "bash": DOCS / "howto" / "use-the-api-with-curl.md",
    "python": DOCS / "howto" / "use-the-api-with-httpx.md",
    "ts": DOCS / "howto" / "use-the-api-with-openapi-fetch.md",
}

#: The pages that show a framework, by its folder in tests/frameworks, where its snippets run.
FRAMEWORKS = {
    page: page.stem.removeprefix("use-with-").replace("-", "_")
    for page in PAGES
    if page.stem.startswith("use-with-")
}

_SHELL = {"sh", "console"}
_INLINE_COMMAND = re.compile(r"(?:make|python manage\.py|manage\.py) [a-z]")


class Block(NamedTuple):
    """A fenced block; `line` is that of its first line, from 1."""

    language: str
    text: str
    line: int


class Row(NamedTuple):
    """A row of a table, as the inline tokens of its cells."""

    cells: list[Token]

    def spans(self, column: int) -> list[str]:
        return code_in(self.cells[column])


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the fenced blocks of a page, those of some languages when any is named."""
    return [
        Block(token.info, token.content, token.map[0] + 2)
        for token in tokens(page)
        if token.type == "fence" and token.map and (not languages or token.info in languages)
    ]


def steps(page: Path, language: str) -> Iterator[tuple[Block, str]]:
    """Yield the blocks of a language, each with the output that the page shows right after it."""
    result = blocks(page)
    for block, after in zip(result, [*result[1:], None], strict=True):
        if block.language == language:
            visible = after is not None and after.language == "text"
            yield block, after.text if after is not None and visible else ""


def inlines(page: Path) -> Iterator[Token]:
    """Yield what is inside each text, heading and cell."""
    for token in tokens(page):
        yield from token.children or []


def code_in(token: Token) -> list[str]:
    return [child.content for child in token.children or [] if child.type == "code_inline"]


def code_spans(page: Path) -> list[str]:
    return [token.content for token in inlines(page) if token.type == "code_inline"]


def links(page: Path) -> list[str]:
    return [str(token.attrs["href"]) for token in inlines(page) if token.type == "link_open"]


def headings(page: Path) -> list[str]:
    """Return the headings as they are written."""
    return [
        after.content for token, after in pairwise(tokens(page)) if token.type == "heading_open"
    ]


def anchors(page: Path) -> set[str]:
    """Return the headings as their links name them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")
        for heading in headings(page)
    }


def rows(page: Path, *columns: str) -> list[Row]:
    """Return the rows of the tables with exactly these column heads."""
    items: list[Row] = []
    table: list[list[Token]] = []
    for token in tokens(page):
        if token.type == "table_open":
            table = []
        elif token.type == "tr_open":
            table.append([])
        elif token.type == "inline" and token.level > 3:
            table[-1].append(token)
        elif token.type == "table_close" and [cell.content for cell in table[0]] == list(columns):
            items += [Row(cells) for cells in table[1:]]
    return items


def commands(page: Path) -> list[list[str]]:
    """Return the shell commands of a page, in blocks and in running text, as words."""
    lines = [line for block in blocks(page, *_SHELL) for line in _lines(block.text)]
    entries = [line for block in blocks(page, "crontab") for line in block.text.splitlines()]
    lines += [entry.split(maxsplit=5)[5] for entry in entries]  # after five fields of time
    lines += [span for span in code_spans(page) if _INLINE_COMMAND.match(span)]
    return [words for line in lines for words in _split(line)]


def _lines(text: str) -> list[str]:
    joined = text.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in joined]


def _split(line: str) -> Iterator[list[str]]:
    """Yield each command of a line as words, without variables set for it."""
    command: list[str] = []
    for word in [*shlex.split(line, comments=True), "&&"]:
        if word in ("&&", "|", "||", ";"):
            if command:
                yield command
            command = []
        elif command or not re.match(r"\w+=", word):
            command.append(word)
