"""`manage.py engine_erase`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandError

from mastra_engine import MastraEngine, engines
from mastra_engine.management.base import EngineCommand

MAX_AGE = 36_500


class Command(EngineCommand):
    help = (
        "Erase the data of a resource, a connection or a namespace, or old messages. Asks before "
        "it deletes: without a terminal, --no-input is required."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.add_engine_argument(parser)
        subject = parser.add_mutually_exclusive_group(required=True)
        subject.add_argument("--resource", metavar="ID", help="Erase the memory of this resource.")
        subject.add_argument(
            "--connection", metavar="ID", help="Erase the records of this connection."
        )
        subject.add_argument(
            "--namespace",
            metavar="NAME",
            help="Erase the vectors of this namespace in all indexes, except those of messages and "
            "records.",
        )
        subject.add_argument(
            "--older-than",
            type=days_ago,
            metavar="DAYS",
            help="Erase the messages of all users that are older than this number of days.",
        )
        subject.add_argument(
            "--expired",
            action="store_true",
            help="Erase the messages of all users that are older than RETENTION_DAYS.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Show the amount of data, but delete nothing."
        )
        parser.add_argument(
            "--no-input",
            dest="interactive",
            action="store_false",
            help="Delete without asking.",
        )
        vacuum = parser.add_mutually_exclusive_group()
        vacuum.add_argument(
            "--no-vacuum",
            dest="vacuum",
            action="store_false",
            help="Leave the deleted rows in the tables until the server's next vacuum.",
        )
        vacuum.add_argument(
            "--full",
            action="store_true",
            help="Rewrite the tables without the deleted bytes. The tables are locked meanwhile.",
        )

    def handle(self, **options: Any) -> None:
        engine = engines[options["engine"]]
        if options["dry_run"]:
            self.stdout.write(f"To be erased: {self.erase(engine, options, dry_run=True)}")
            return
        if options["interactive"]:
            self.confirm(self.erase(engine, options, dry_run=True))
        self.stdout.write(f"Erased: {self.erase(engine, options, dry_run=False)}")
        engine.expire_idempotency_records()
        engine.state.delete_expired()
        if options["vacuum"]:
            engine.vacuum(full=options["full"])

    def confirm(self, amount: str) -> None:
        """Ask whether to erase this amount of data; raises CommandError unless the user agrees."""
        if not sys.stdin.isatty():
            raise CommandError(
                "engine_erase asks before it deletes, but the input is not a terminal. "
                "Add --no-input to delete without asking, or --dry-run to delete nothing."
            )
        self.stdout.write(f"To be erased: {amount}\nThis cannot be undone.")
        if input("Type 'yes' to continue, or 'no' to cancel: ") != "yes":
            raise CommandError("Nothing was erased.")

    def erase(self, engine: MastraEngine, options: dict[str, Any], *, dry_run: bool) -> str:
        """Erase the data that the options select, and return its amount in words."""
        before = options["older_than"]
        if options["expired"] or before is not None:
            messages = engine.memory.expire_messages(before=before, dry_run=dry_run)
            return in_words({"messages": messages})
        erasure = engine.erase(
            resource_id=options["resource"],
            connection_id=options["connection"],
            namespace=options["namespace"],
            dry_run=dry_run,
        )
        return in_words(asdict(erasure))


def in_words(amounts: dict[str, int]) -> str:
    """Return the amounts that are not zero as text, such as "2 threads, 40 messages"."""
    words = [f"{number} {kind.replace('_', ' ')}" for kind, number in amounts.items() if number]
    return ", ".join(words) or "nothing"


def days_ago(days: str) -> datetime:
    """Return the time that many days ago; raises ArgumentTypeError for other text."""
    try:
        age = float(days)
    except ValueError:
        age = 0.0
    if not 0 < age <= MAX_AGE:
        message = f"must be a number of days above 0, and at most {MAX_AGE}, got {days!r}"
        raise ArgumentTypeError(message)
    return datetime.now(UTC) - timedelta(days=age)
