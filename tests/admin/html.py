"""Parsing pages as a browser does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NamedTuple

#: What a browser fetches or follows, and what it would run.
_ADDRESSES = {"href", "src", "action", "formaction", "poster", "data", "srcset", "background"}
_LOADING = {"audio", "base", "embed", "frame", "iframe", "img", "object", "source", "video"}


class Element(NamedTuple):
    tag: str
    attributes: dict[str, str]


class Page(HTMLParser):
    """The elements of a page, its title, its text, and the parts of its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.title = self.text = ""
        self.parts: set[str] = set()
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.title += data
        self.text += data
        if self._open and self._open[-1] not in ("script", "style"):
            self.parts.add(" ".join(data.split()))

    def faults(self) -> Iterator[str]:
        """Yield violations of a strict Content-Security-Policy, and links with other schemes."""
        for tag, attributes in self.elements:
            if tag == "style" or "style" in attributes:
                yield f"inline style: {tag} {attributes}"
            data = attributes.get("type") == "application/json"
            if tag == "script" and "src" not in attributes and not data:
                yield f"inline script: {attributes}"
            if any(name.startswith("on") for name in attributes):
                yield f"handler: {tag} {attributes}"
            for name in _ADDRESSES & attributes.keys():
                address = attributes[name].strip()
                loads = tag in _LOADING or tag in ("script", "link")
                if loads and not re.match(r"/(?!/)", address):
                    yield f"foreign: {tag} {attributes}"
                elif re.match(r"(?!https?:|mailto:)[a-z][\w+.-]*:", address, re.IGNORECASE):
                    yield f"scheme: {tag} {attributes}"
