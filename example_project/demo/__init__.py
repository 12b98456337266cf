"""What `manage.py demo` shows, a noun a file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def title(console: Console, text: str) -> None:
    """Begin a step."""
    console.print()
    console.rule(f"[bold]{text}", align="left")


def progress(console: Console, name: str, items: list[T]) -> Iterable[T]:
    """Show a bar while `items` are worked through, where there is a terminal to show it on."""
    disable = not console.is_terminal
    return track(items, description=name, console=console, transient=True, disable=disable)
