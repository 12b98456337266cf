"""Measure the project's language against tools/prose.toml: `python tools/prose.py [--list]`.

Counts phrases in the docs and in docstrings and comments, per 1,000 words, and identifiers that
are bare participles or pronouns, in percent. Exits with status 1 above a limit.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RULES: dict[str, Any] = tomllib.loads((ROOT / "tools/prose.toml").read_text())
WORD = re.compile(r"[A-Za-z']+")
#: Comments that are instructions to tools.
DIRECTIVES = ("!", " noqa", " type:", " pragma:")

Line = tuple[int, str]


@dataclass
class Count:
    """Matches among the units (words or bindings) of one kind of text."""

    kind: str
    per: int
    units: int = 0
    matches: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.per * len(self.matches) / self.units if self.units else 0.0

    @property
    def limit(self) -> float:
        return float(RULES["limits"][self.kind])

    def __str__(self) -> str:
        return (
            f"{self.kind}: {len(self.matches)} in {self.units}, {self.rate:.2f} per {self.per:,} "
            f"(limit {self.limit})"
        )


def sources(kind: str, suffix: str) -> Iterator[Path]:
    """Yield the files of a kind in a stable order."""
    for place in RULES["places"][kind]:
        path = ROOT / place
        for file in sorted(path.rglob(f"*{suffix}")) if path.is_dir() else [path]:
            parts = file.relative_to(ROOT).parts
            if file.is_file() and not set(parts) & set(RULES["places"]["excluded"]):
                yield file


def markdown(path: Path) -> Iterator[Line]:
    """Yield the lines outside of code blocks, inline code replaced by a letter."""
    fenced = False
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, re.sub(r"`[^`]*`", "x", line)


def docstrings(tree: ast.Module) -> Iterator[Line]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node, clean=False)
        if text:
            for offset, line in enumerate(text.split("\n")):
                yield node.body[0].lineno + offset, line


def comments(path: Path) -> Iterator[Line]:
    with path.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type == tokenize.COMMENT:
                text = token.string.lstrip("#")
                if not text.startswith(DIRECTIVES):
                    yield token.start[0], text.lstrip(": ")


def python(path: Path) -> Iterator[Line]:
    """Yield the lines of docstrings and the comments."""
    yield from docstrings(ast.parse(path.read_text()))
    yield from comments(path)


def bindings(path: Path) -> Iterator[Line]:
    """Yield each name that is bound: variables, parameters, functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.arg() if node.arg not in ("self", "cls"):
                yield node.lineno, node.arg
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.lineno, node.name.lstrip("_")


def measure_prose(kind: str) -> Count:
    """Count the phrases of the rules in the docs or in the code."""
    read, suffix = (markdown, ".md") if kind == "docs" else (python, ".py")
    count = Count(kind, per=1_000)
    for path in sources(kind, suffix):
        for number, text in read(path):
            count.units += len(WORD.findall(text))
            place = f"{path.relative_to(ROOT)}:{number}"
            count.matches += [
                f"{place}: {match[0]!r} is a {rule['name']}; {rule['advice']}"
                for rule in RULES["phrases"]
                for match in re.finditer(rule["pattern"], text)
            ]
    return count


def measure_names() -> Count:
    """Count the bindings that are words of the list."""
    words = set(RULES["names"]["words"])
    count = Count("names", per=100)
    for path in sources("names", ".py"):
        for number, name in bindings(path):
            count.units += 1
            if name in words:
                count.matches.append(
                    f"{path.relative_to(ROOT)}:{number}: name {name!r} by its role"
                )
    return count


def measure() -> list[Count]:
    """Return the three counts that have limits."""
    return [measure_prose("docs"), measure_prose("code"), measure_names()]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the project's language.")
    parser.add_argument("--list", action="store_true", help="print each match with its place")
    arguments = parser.parse_args()
    counts = measure()
    for count in counts:
        print(count)
        if arguments.list or count.rate > count.limit:
            print("\n".join(f"  {match}" for match in count.matches))
    return int(any(count.rate > count.limit for count in counts))


if __name__ == "__main__":
    sys.exit(main())
