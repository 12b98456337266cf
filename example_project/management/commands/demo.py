"""`manage.py demo`: use the engine with real data, and print the results."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console

from example_project.demo.memory import MemoryDemo
from example_project.demo.records import RecordsDemo
from example_project.demo.retrieval import RetrievalDemo


class Command(BaseCommand):
    help = "Sync, query and search real data, and hold a conversation about it."

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console()
        RecordsDemo(console).run()
        RetrievalDemo(console).run()
        MemoryDemo(console).run()
