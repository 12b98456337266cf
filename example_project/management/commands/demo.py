"""`manage.py demo`: use the engine with real data, and print the results."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console

from example_project.demo.memory import MemoryDemo
from example_project.demo.records import RecordsDemo
from example_project.demo.retrieval import RetrievalDemo

INTRODUCTION = (
    "This demo uses the engine with real data: it syncs the installed Python packages and the "
    "Python language reference into PostgreSQL, queries and searches them, and saves a "
    "conversation about them. Nothing leaves this machine. You can interrupt and repeat it."
)
NEXT_STEP = (
    "\nNext, [bold]make serve[/bold] serves a chat that answers from these records, and the admin "
    "that shows them."
)


class Command(BaseCommand):
    help = "Sync, query and search real data, and hold a conversation about it."

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console()
        console.print(INTRODUCTION)
        RecordsDemo(console).run()
        RetrievalDemo(console).run()
        MemoryDemo(console).run()
        console.print(NEXT_STEP)
