"""The parts of `manage.py demo`, one file per noun."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def title(console: Console, text: str, explanation: str) -> None:
    """Print the heading of a step and its explanation."""
    console.print()
    console.rule(f"[bold]{text}", align="left")
    console.print(f"[dim]{explanation}[/dim]")


def progress(console: Console, name: str, items: list[T]) -> Iterable[T]:
    """Yield items, with a progress bar where the console is a terminal."""
    disable = not console.is_terminal
    return track(items, description=name, console=console, transient=True, disable=disable)
