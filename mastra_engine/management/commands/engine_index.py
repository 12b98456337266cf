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
        self.add_engine_argument(parser)

    def handle(self, **options: Any) -> None:
        engine = engines[options["engine"]]
        entity, index = options["entity"], options["index"]

        def indexings() -> list[Indexing]:
            return [
                each
                for each in engine.list_indexings(connection_id=options["connection"])
                if entity in (None, each.entity) and index in (None, each.index)
            ]

        pending = sum(each.pending for each in indexings())
        of = "" if options["rebuild"] else f" of {pending}"
        so_far = 0

        def watch(number: int) -> None:
            nonlocal so_far
            so_far += number
            self.show_progress(f"{so_far}{of} changes indexed.")

        done = engine.index_pending(
            entity_name=entity,
            connection_id=options["connection"],
            index_name=index,
            rebuild=options["rebuild"],
            watch=watch,
        )
        self.show_progress("")
        self.stdout.write(self.style.SUCCESS(f"{done} changes indexed."))
        self.stdout.writelines(map(_told, indexings()))


def _told(indexing: Indexing) -> str:
    return (
        f"  {indexing.entity!r} in {indexing.index!r}: {indexing.pending} pending, "
        f"complete for {indexing.complete} of {indexing.connections} connections\n"
    )
