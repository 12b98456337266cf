"""Shows the engine at work on real data."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console

from example_project.demo.memory import MemoryDemo
from example_project.demo.records import RecordsDemo
from example_project.demo.retrieval import RetrievalDemo


class Command(BaseCommand):
    help = "Sync and query real data; question the language reference; remember the conversation."

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console()
        RecordsDemo(console).run()
        RetrievalDemo(console).run()
        MemoryDemo(console).run()
