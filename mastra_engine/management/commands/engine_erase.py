"""`manage.py engine_erase`."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandError

from mastra_engine import MastraEngine, engines
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.management.base import EngineCommand


class Command(EngineCommand):
    help = "Erase all that is kept of a resource or a connection, or messages that are too old."

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.add_engine_argument(parser)
        subject = parser.add_mutually_exclusive_group(required=True)
        subject.add_argument("--resource", metavar="ID", help="whose memory to erase")
        subject.add_argument("--connection", metavar="ID", help="whose records to erase")
        subject.add_argument(
            "--older-than", type=days_ago, metavar="DAYS", help="erase messages of that age"
        )
        subject.add_argument(
            "--expired", action="store_true", help="erase messages older than RETENTION_DAYS"
        )
        parser.add_argument("--dry-run", action="store_true", help="only say how much there is")
        leftovers = parser.add_mutually_exclusive_group()
        leftovers.add_argument(
            "--no-vacuum",
            dest="vacuum",
            action="store_false",
            help="leave the deleted rows in the tables until the server cleans up",
        )
        leftovers.add_argument(
            "--full",
            action="store_true",
            help="write the tables anew, without the deleted bytes; nobody can use them meanwhile",
        )

    def handle(self, **options: Any) -> None:
        engine, dry_run = engines[options["engine"]], options["dry_run"]
        if options["expired"] or options["older_than"] is not None:
            self.expire(engine.memory, options["older_than"], dry_run=dry_run)
        else:
            self.erase(engine, options["resource"], options["connection"], dry_run=dry_run)
        if dry_run:
            return
        engine.expire_idempotency_records()
        if options["vacuum"]:
            engine.vacuum(full=options["full"])

    def erase(
        self,
        engine: MastraEngine,
        resource_id: str | None,
        connection_id: str | None,
        *,
        dry_run: bool,
    ) -> None:
        found = engine.erase(resource_id=resource_id, connection_id=connection_id, dry_run=dry_run)
        said = "There are" if dry_run else "Erased"
        counts = ", ".join(f"{number} {what}" for what, number in asdict(found).items() if number)
        self.stdout.write(f"{said}: {counts or 'nothing'}".replace("_", " "))

    def expire(self, memory: Memory, before: datetime | None, *, dry_run: bool) -> None:
        if dry_run:
            raise CommandError("--dry-run is for a resource or a connection")
        gone = memory.expire_messages(before=before)
        self.stdout.write(f"Erased: {gone} messages")


def days_ago(days: str) -> datetime:
    """Return when that was; argparse reports what is no number of days."""
    age = float(days)
    if not 0 <= age <= 36_500:
        raise ValueError(days)
    return datetime.now(UTC) - timedelta(days=age)
