"""`manage.py engine_migrate`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections
from django.db.migrations.exceptions import MigrationSchemaMissing

from mastra_engine import engines
from mastra_engine.devstack.database import conninfo, explained, selected_database
from mastra_engine.devstack.server import address, migration_lock, wait_until_ready
from mastra_engine.exceptions import InvalidVector
from mastra_engine.management.base import DatabaseCommand
from mastra_engine.postgres.errors import NOT_ALLOWED, READ_ONLY, sqlstate
from mastra_engine.postgres.word_filling import add_words, without_words

NO_PGVECTOR = """\
The engine needs the extension pgvector. Install it on the server (its package or image), then let
a role that may do so run, in this database: CREATE EXTENSION vector"""


class Command(DatabaseCommand):
    help = "Run `migrate`, one process at a time, as soon as the database answers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--timeout", type=float, default=30, help="seconds to wait for an answer (default: 30)"
        )

    def handle(self, **options: Any) -> None:
        with selected_database(options["database"]) as alias:
            target = conninfo(alias)
            self.stdout.write(f"Database: {address(target)}")
            with explained(target):
                wait_until_ready(target, timeout=options["timeout"])
            with migration_lock(target, on_wait=self.tell_waiting):
                self.migrate(alias, verbosity=options["verbosity"])
                self.create_indexes(alias)
                self.add_words(alias)
        self.stdout.write(self.style.SUCCESS("Every migration is applied."))

    def migrate(self, alias: str, *, verbosity: int) -> None:
        self.stdout.ending = ""  # The command migrate writes its own line ends.
        try:
            call_command(
                "migrate",
                database=alias,
                interactive=False,
                skip_checks=False,  # System checks test the server's version and encoding.
                verbosity=verbosity,
                stdout=self.stdout,
                stderr=self.stderr,
            )
        except DatabaseError as error:
            if "vector" in str(error):
                raise CommandError(f"{error}\n{NO_PGVECTOR}") from error
            # Django wraps the refusal of its first table without the driver's error as its cause.
            refused = isinstance(error, MigrationSchemaMissing)
            if refused or sqlstate(error) in (NOT_ALLOWED, READ_ONLY):
                raise CommandError(str(error)) from error
            raise
        finally:
            self.stdout.ending = "\n"

    def create_indexes(self, alias: str) -> None:
        for engine in engines.all():
            if engine.database == alias:
                indexes = [*engine.vectors.create_declared_indexes(), *engine.prepare_indexes()]
                for texts in (engine.memory, engine.state, engine.facts):
                    try:
                        indexes += filter(None, [texts.prepare_index()])
                    except InvalidVector as error:  # Embed again when all processes are updated.
                        self.stderr.write(self.style.WARNING(error.message))
                for index in indexes:
                    self.stdout.write(f"Vector index {index.name!r}: {index.status}.")

    def add_words(self, alias: str) -> None:
        """Add words to the documents that a release without lexical search vectors stored."""
        connection = connections[alias]
        for name in without_words(connection):
            self.stdout.write(f"Vector index {name!r}: adding words to its documents …")
            if not add_words(connection, name):
                message = (
                    f"Vector index {name!r}: another process builds its search structure; run "
                    "engine_migrate again when it has ended."
                )
                self.stderr.write(self.style.WARNING(message))

    def tell_waiting(self) -> None:
        self.stdout.write("Another engine_migrate is at work; waiting for it …")
