"""`manage.py engine_index`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from mastra_engine import engines
from mastra_engine.management.base import EngineCommand
from mastra_engine.types import Indexing


class Command(EngineCommand):
    help = "Bring the declared indexes of records up to date, and say how far they are."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--entity", help="only entities of this name")
        parser.add_argument("--connection", help="only the records of this connection")
        parser.add_argument("--index", help="only this index")
        parser.add_argument("--rebuild", action="store_true", help="read all records anew")
        parser.add_argument("--engine", default="default", help="alias of the engine")

    def handle(self, **options: Any) -> None:
        engine = engines[options["engine"]]
        entity, index = options["entity"], options["index"]

        def indexings() -> list[Indexing]:
            return [
                each
                for each in engine.list_indexings(connection_id=options["connection"])
                if entity in (None, each.entity) and index in (None, each.index)
            ]

        self.done, pending = 0, sum(each.pending for each in indexings())
        self.of = "" if options["rebuild"] else f" of {pending}"
        done = engine.index_pending(
            entity_name=entity,
            connection_id=options["connection"],
            index_name=index,
            rebuild=options["rebuild"],
            watch=self.advance,
        )
        if self.stdout.isatty():
            self.stdout.write("\r\x1b[K", ending="")
        self.stdout.write(self.style.SUCCESS(f"{done} changes indexed."))
        self.stdout.writelines(map(_told, indexings()))

    def advance(self, number: int) -> None:
        """Keep a terminal up to date in one line."""
        self.done += number
        if self.stdout.isatty():
            self.stdout.write(f"\r{self.done}{self.of} changes indexed.\x1b[K", ending="")
            self.stdout.flush()


def _told(indexing: Indexing) -> str:
    return (
        f"  {indexing.entity!r} in {indexing.index!r}: {indexing.pending} pending, "
        f"complete for {indexing.complete} of {indexing.connections} connections\n"
    )
