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

#: The length of a progress bar in characters.
BAR = 20


class Command(EngineCommand):
    help = (
        "Run, pause or resume a declared sync; list, cancel or retry runs; exit with 1 unless the "
        "run succeeds."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="name of the sync")
        parser.add_argument("--connection", help="id of the connection to sync")
        parser.add_argument(
            "--params", type=json.loads, metavar="JSON", help="parameters of the sync"
        )
        self.add_engine_argument(parser)
        parser.add_argument("--reset", action="store_true", help="begin without a checkpoint")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--dry-run", action="store_true", help="only print the changes")
        how.add_argument("--enqueue", action="store_true", help="let a worker run it")
        how.add_argument("--pause", action="store_true", help="stop it, and refuse new runs")
        how.add_argument("--resume", action="store_true", help="allow new runs after --pause")
        how.add_argument("--list", action="store_true", help="list syncs and their latest runs")
        how.add_argument("--cancel", metavar="RUN", help="cancel a run, by its id")
        how.add_argument("--retry", metavar="RUN", help="queue a failed or cancelled run again")

    def handle(self, **options: Any) -> None:
        engine = engines[options["engine"]]
        if options["list"]:
            self.stdout.write("\n".join(_listed(engine, options["name"], options["connection"])))
            return
        if options["cancel"]:
            self.stdout.write(f"Cancelled {engine.cancel_sync_run(id=options['cancel']).id}.")
            return
        if options["retry"]:
            self.stdout.write(f"Queued as {engine.retry_sync_run(id=options['retry']).id}.")
            return
        if not (options["name"] and options["connection"]):
            raise CommandError("Name a sync and a --connection, or pass --list")
        if options["pause"] or options["resume"]:
            change = engine.pause_sync if options["pause"] else engine.resume_sync
            state = change(options["name"], connection_id=options["connection"])
            self.stdout.write(f"{state.sync} of {state.connection_id!r} is {state.status}.")
            return
        arguments = {key: options[key] for key in ("params", "reset")}
        if options["enqueue"]:
            run = engine.enqueue_sync(
                options["name"], connection_id=options["connection"], **arguments
            )
            self.stdout.write(f"Queued as {run.id}.")
            return
        run = engine.run_sync(
            options["name"],
            connection_id=options["connection"],
            dry_run=options["dry_run"],
            watch=lambda run: self.show_progress(f"{_progress(run)}{_summary(run)}"),
            **arguments,
        )
        self.tell(run)

    def tell(self, run: SyncRun) -> None:
        """Print the result of the run; raises CommandError unless it succeeded."""
        self.show_progress("")
        would = "It would be: " if run.dry_run else ""
        if run.status != "succeeded":
            why = "" if run.error is None else f": {_reason(run).rstrip('.')}"
            then = "" if run.dry_run else f" Continue it: manage.py engine_sync --retry {run.id}"
            ended = _ENDED.get(run.status, f"is {run.status}")
            message = f"The run {run.id} {ended}{why}. So far: {_summary(run)}{then}"
            raise CommandError(message)
        self.stdout.write(self.style.SUCCESS(f"{would}{_summary(run)}"))


_ENDED = {"failed": "failed", "cancelled": "was cancelled"}


def _summary(run: SyncRun) -> str:
    return (
        f"{run.created} created, {run.updated} updated, {run.unchanged} unchanged, "
        f"{run.deleted} deleted."
    )


def _progress(run: SyncRun) -> str:
    if run.progress is None:
        return ""
    completed, total = run.progress.done, run.progress.total
    if not total:
        return f"{completed} done: "
    filled = min(BAR * completed // total, BAR)
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {completed} of {total} done: "


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
