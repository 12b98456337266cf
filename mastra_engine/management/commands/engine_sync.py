"""`manage.py engine_sync`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError

from mastra_engine import engines
from mastra_engine.backends.base import MastraEngine
from mastra_engine.management.base import EngineCommand
from mastra_engine.registry import registry
from mastra_engine.types import SyncRun

#: The width of the progress bar in characters.
BAR = 20


class Command(EngineCommand):
    help = "Run a declared sync, or list, cancel or retry runs. Exit with status 1 if it fails."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="Name of the declared sync.")
        parser.add_argument("--connection", help="Id of the connection to sync.")
        parser.add_argument(
            "--params",
            type=json.loads,
            metavar="JSON",
            help="Parameters of the sync, as a JSON object.",
        )
        self.add_engine_argument(parser)
        parser.add_argument(
            "--reset", action="store_true", help="Start without the stored checkpoint."
        )
        how = parser.add_mutually_exclusive_group()
        how.add_argument(
            "--dry-run", action="store_true", help="Show the changes without writing them."
        )
        how.add_argument("--enqueue", action="store_true", help="Queue the sync for a worker.")
        how.add_argument(
            "--list", action="store_true", help="List the declared syncs and the latest runs."
        )
        how.add_argument("--cancel", metavar="RUN", help="Cancel the run with this id.")
        how.add_argument(
            "--retry", metavar="RUN", help="Queue the failed or cancelled run with this id again."
        )

    def handle(self, **options: Any) -> None:
        engine = engines[options["engine"]]
        if options["list"]:
            self.stdout.write("\n".join(_listed(engine, options["name"], options["connection"])))
            return
        if options["cancel"]:
            self.stdout.write(
                f"Cancelled the run {engine.cancel_sync_run(id=options['cancel']).id}."
            )
            return
        if options["retry"]:
            self.stdout.write(f"Queued the run {engine.retry_sync_run(id=options['retry']).id}.")
            return
        if not (options["name"] and options["connection"]):
            raise CommandError(
                "Name a sync and a connection: engine_sync NAME --connection ID. "
                "See the declared syncs with --list."
            )
        arguments = {key: options[key] for key in ("params", "reset")}
        if options["enqueue"]:
            run = engine.enqueue_sync(
                options["name"], connection_id=options["connection"], **arguments
            )
            self.stdout.write(
                f"Queued the run {run.id}. Follow it with manage.py engine_sync --list"
            )
            return
        run = engine.run_sync(
            options["name"],
            connection_id=options["connection"],
            dry_run=options["dry_run"],
            watch=lambda run: self.show_progress(f"{_progress(run)}{_summary(run)}"),
            **arguments,
        )
        self.report(run)

    def report(self, run: SyncRun) -> None:
        """Print the result of a run; raises CommandError unless it succeeded."""
        self.show_progress("")
        if run.status != "succeeded":
            lines = [f"The run {run.id} {_ENDINGS.get(run.status, run.status)}."]
            if run.error is not None:
                lines.append(_reason(run))
            lines.append(f"Committed before that: {_summary(run)}")
            if not run.dry_run:
                lines.append(f"Resume the run: manage.py engine_sync --retry {run.id}")
            raise CommandError("\n".join(lines))
        prefix = "Dry run: " if run.dry_run else ""
        self.stdout.write(self.style.SUCCESS(f"{prefix}{_summary(run)}"))


_ENDINGS = {"failed": "failed", "cancelled": "was cancelled", "running": "is still running"}


def _summary(run: SyncRun) -> str:
    return (
        f"{run.created} created, {run.updated} updated, {run.unchanged} unchanged, "
        f"{run.deleted} deleted."
    )


def _progress(run: SyncRun) -> str:
    if run.progress is None:
        return ""
    finished, total = run.progress.done, run.progress.total
    if not total:
        return f"{finished} finished: "
    filled = min(BAR * finished // total, BAR)
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {finished} of {total} finished: "


def _reason(run: SyncRun) -> str:
    assert run.error is not None
    place = f" in {run.error.place}" if run.error.place else ""
    return f"{run.error.type}{place}: {run.error.message}"


def _listed(engine: MastraEngine, name: str | None, connection: str | None) -> Iterator[str]:
    for declared in registry.syncs.values():
        if name in (None, declared.name):
            yield f"{declared.name}: {declared.mode} sync into {declared.entity!r}"
    for run in engine.list_sync_runs(sync=name, connection_id=connection, limit=20):
        ended = run.finished_at or run.started_at or run.created_at
        line = f"  {run.id} {run.sync} {run.connection_id!r} {run.status} {ended:%Y-%m-%d %H:%M:%S}"
        yield f"{line} {_reason(run)}" if run.error else f"{line} {_summary(run)}"
