"""`manage.py engine_index`."""

from __future__ import annotations

from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from django.core.management.base import CommandError
from django.db import connections

from mastra_engine import MastraEngine, engines
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.management.base import EngineCommand
from mastra_engine.types import Indexing, VectorIndex

#: Seconds between two reads of the progress of a build.
POLL = 2.0


class Command(EngineCommand):
    help = (
        "Bring the declared indexes of records, or the index of messages, of agent state or of "
        "facts, up to date, or rebuild search structures."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--entity", help="only entities of this name")
        parser.add_argument("--connection", help="only the records of this connection")
        parser.add_argument("--index", help="only this index")
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--rebuild",
            action="store_true",
            help="read all records, messages, items or facts again",
        )
        how.add_argument(
            "--build",
            action="store_true",
            help="build search structures that are missing or invalid, of all vector indexes",
        )
        texts = parser.add_mutually_exclusive_group()
        texts.add_argument(
            "--messages", action="store_true", help="embed messages instead of indexing records"
        )
        texts.add_argument(
            "--state", action="store_true", help="index agent state instead of records"
        )
        texts.add_argument("--facts", action="store_true", help="index facts instead of records")
        self.add_engine_argument(parser)

    def handle(self, **options: Any) -> None:
        engine = engines[options["engine"]]
        entity, index = options["entity"], options["index"]
        for texts in ("messages", "state", "facts"):
            if options[texts]:
                if entity or index or options["connection"] or options["build"]:
                    message = f"--{texts} can be combined with --rebuild and --engine only"
                    raise CommandError(message)
                self.index_texts(engine, texts, rebuild=options["rebuild"])
                return
        if options["build"]:
            for vector_index in engine.vectors.list_indexes():
                broken = vector_index.status in ("missing", "invalid") and vector_index.count
                if broken and index in (None, vector_index.name):
                    self.build(engine.vectors, vector_index)
            return

        def indexings() -> list[Indexing]:
            return [
                indexing
                for indexing in engine.list_indexings(connection_id=options["connection"])
                if entity in (None, indexing.entity) and index in (None, indexing.index)
            ]

        pending = sum(indexing.pending for indexing in indexings())
        of = "" if options["rebuild"] else f" of {pending}"
        so_far = 0

        def watch(number: int) -> None:
            nonlocal so_far
            so_far += number
            self.show_progress(f"{so_far}{of} changes indexed.")

        changes_indexed = engine.index_pending(
            entity_name=entity,
            connection_id=options["connection"],
            index_name=index,
            rebuild=options["rebuild"],
            watch=watch,
        )
        self.show_progress("")
        self.stdout.write(self.style.SUCCESS(f"{changes_indexed} changes indexed."))
        self.stdout.writelines(map(_line, indexings()))

    def index_texts(self, engine: MastraEngine, texts: str, *, rebuild: bool) -> None:
        """Index the messages, items of state or facts that wait for it, or all of them again."""
        index_pending, reindex, result = {
            "messages": (engine.memory.embed_pending, engine.memory.reembed, "messages embedded"),
            "state": (engine.state.index_pending, engine.state.reindex, "items indexed"),
            "facts": (engine.facts.index_pending, engine.facts.reindex, "facts indexed"),
        }[texts]
        number = reindex() if rebuild else index_pending()
        self.stdout.write(self.style.SUCCESS(f"{number} {result}."))

    def build(self, vectors: Vectors, index: VectorIndex) -> None:
        """Build a search structure, and show the progress in a terminal."""
        with ThreadPoolExecutor(1) as thread:
            building = thread.submit(_built, vectors, index.name)
            while self.stdout.isatty() and not wait([building], timeout=POLL).done:
                progress = vectors.describe_index(index_name=index.name).progress or 0
                self.show_progress(f"{index.name!r}: {progress:.0%} built.")
            built = building.result()
        self.show_progress("")
        self.stdout.write(f"The index {built.name!r} was {index.status}, and is {built.status}.")


def _built(vectors: Vectors, name: str) -> VectorIndex:
    try:
        return vectors.build_index(index_name=name)
    finally:
        connections.close_all()  # The connections of this thread.


def _line(indexing: Indexing) -> str:
    return (
        f"  {indexing.entity!r} in {indexing.index!r}: {indexing.pending} pending, "
        f"complete for {indexing.complete} of {indexing.connections} connections\n"
    )
