"""Records are synced, queried, searched and changed, and the change feed is read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from textwrap import shorten

from django.core.management import CommandError
from django.utils import timezone
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from example_project.demo import title
from example_project.sources import CONNECTION, packages
from mastra_engine import engine
from mastra_engine.types import Filter, QueryOptions, RecordInput, Sort, SyncResult, SyncRun

SYNCS = "packages", "topics"

#: Questions to the topics, each with a filter on the data of the topics.
QUESTIONS = {
    "catch two different exception types with the same handler": {},
    "stop a loop early": {"words": {"$lt": 500}},
}


class RecordsDemo:
    """Steps that each use one feature of records and print the result."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def run(self) -> None:
        self.sync_twice()
        self.query()
        self.page()
        self.search()
        self.change()
        self.list_entities()

    def sync_twice(self) -> None:
        title(
            self.console,
            "Sync two sources, then sync them again",
            "The syncs read the installed Python packages and the topics of the Python reference. "
            "The topics are indexed after the first pass, which embeds them and takes longest.",
        )
        table = results_table()
        for label in ("first", "again"):
            for sync in SYNCS:
                started = time.perf_counter()
                run = self.run_sync(sync)
                table.add_row(label, run.entity, *figures(run), milliseconds(started))
        self.console.print(table)
        self.console.print(
            "[dim]The second pass finds every record unchanged and writes nothing.[/dim]"
        )

    def query(self) -> None:
        title(
            self.console,
            "Query with filters and sorting",
            "get_records() compiles filters to SQL; values are bound as parameters.",
        )
        self.show(
            "packages that require another one, largest first",
            "Packages",
            QueryOptions(
                filters={"requires": {"$not": {"$size": 0}}, "files": {"$gt": 0}},
                sort=[Sort("files", "desc")],
                limit=5,
            ),
            "version",
            "files",
            "summary",
        )
        self.show(
            "topics whose text holds 'coroutine', shortest first",
            "Topics",
            QueryOptions(
                filters=[Filter("body", "contains", "coroutine")],
                sort=[Sort("words")],
                limit=5,
            ),
            "title",
            "words",
        )

    def page(self) -> None:
        title(
            self.console,
            "Page through all records by cursor",
            "A cursor continues after the last record of a page, whatever was written since.",
        )
        sizes, cursor = [], None
        while True:
            page = engine.get_records(
                entity_name="Topics",
                connection_id=CONNECTION,
                options=QueryOptions(limit=25, cursor=cursor),
            )
            sizes.append(len(page))
            cursor = page.next_cursor
            if cursor is None:
                break
        self.console.print(f"{sum(sizes)} topics in pages of {sizes}")

    def search(self) -> None:
        title(
            self.console,
            "Search the topics by meaning",
            "search_records() finds records by the vectors of their chunks.",
        )
        self.await_index()
        for question, filter in QUESTIONS.items():
            heading = f"{question}, among {filter}" if filter else question
            table = Table("record", "score", "chunk", title=heading)
            for match in engine.search_records(
                query=question,
                connection_id=CONNECTION,
                entity_name="Topics",
                top_k=3,
                filter=filter,
                hybrid=False,
            ):
                words = [word for word in match.text.split() if word.strip("*=")]
                excerpt = shorten(" ".join(words), 50, placeholder=" …")
                table.add_row(match.record.external_id, f"{match.score:.2f}", excerpt)
            self.console.print(table)

    def change(self) -> None:
        title(
            self.console,
            "Change the source, sync, read the change feed",
            "get_changes() returns the changes after a revision, deletions included.",
        )
        entity = engine.get_entity(name="Packages", connection_id=CONNECTION)
        assert entity is not None
        position = engine.get_changes(entity_id=entity.id, after=entity.rev).next
        removed, upgraded, *rest = packages()
        newer = RecordInput(upgraded.external_id, {**upgraded.data, "version": "99.0"})
        new = RecordInput("brand-new", {"name": "brand-new", "version": "0.1", "files": 1})
        table = results_table()
        started = time.perf_counter()
        result = engine.sync_records(
            name="Packages", connection_id=CONNECTION, records=[newer, new, *rest], mode="full"
        )
        table.add_row("changed", "Packages", *figures(result), milliseconds(started))
        self.console.print(table)

        feed = Table("rev", "action", "record", "version", title="changes since the last sync")
        for change in engine.get_changes(entity_id=entity.id, after=position):
            record = change.record
            feed.add_row(
                str(change.rev), change.action, record.external_id, str(record.data["version"])
            )
        self.console.print(feed)
        self.console.print(
            f"[dim]{removed.external_id} left the source, so it became a tombstone.[/dim]"
        )
        self.run_sync("packages")  # it restores the packages that are installed

    def list_entities(self) -> None:
        title(
            self.console,
            "Entities in the database",
            "An entity has the records of one kind of one connection.",
        )
        table = Table("entity", "connection", "rev", "records")
        for entity in engine.list_entities():
            records = engine.iter_records(
                entity_name=entity.name, connection_id=entity.connection_id
            )
            count = sum(1 for _ in records)
            table.add_row(entity.name, entity.connection_id, str(entity.rev), str(count))
        self.console.print(table)

    # Steps

    def run_sync(self, sync: str) -> SyncRun:
        """Run a declared sync; it resumes from the checkpoint of a demo that was killed."""
        self.await_lease(sync)
        hidden = not self.console.is_terminal
        with Progress(console=self.console, transient=True, disable=hidden) as bars:
            bar = bars.add_task(sync, total=None)

            def watch(run: SyncRun) -> None:
                if run.progress is not None:
                    bars.update(bar, completed=run.progress.done, total=run.progress.total)

            run = engine.run_sync(sync, connection_id=CONNECTION, watch=watch)
        if run.status != "succeeded":
            raise CommandError(f"The sync {sync} {run.status}: {run.error}")
        return run

    def await_lease(self, sync: str) -> None:
        """Wait until the lease of a running sync expires: its worker may have been killed."""
        for run in engine.list_sync_runs(sync=sync, connection_id=CONNECTION, status="running"):
            assert run.lease_expires_at is not None
            seconds = max((run.lease_expires_at - timezone.now()).total_seconds(), 0)
            self.console.print(
                f"Another demo's sync of {run.entity} committed up to {run.checkpoint!r}; "
                f"resuming from there when its lease expires, in {seconds:.0f} s"
            )
            time.sleep(seconds)

    def await_index(self) -> None:
        """Index the topics that are not indexed; there are some if an earlier demo was killed."""
        engine.index_pending(connection_id=CONNECTION)
        if waiting():
            self.console.print(
                "Another demo was indexing; resuming when its claim expires, in a minute at most"
            )
        while waiting():
            time.sleep(1)
            engine.index_pending(connection_id=CONNECTION)

    def show(self, title: str, entity: str, options: QueryOptions, *fields: str) -> None:
        table = Table("record", *fields, title=title)
        for record in engine.get_records(
            entity_name=entity, connection_id=CONNECTION, options=options
        ):
            table.add_row(record.external_id, *(str(record.data.get(field)) for field in fields))
        self.console.print(table)


def waiting() -> int:
    """Return the number of changes that are not indexed yet."""
    return sum(progress.pending for progress in engine.list_indexings(connection_id=CONNECTION))


def results_table() -> Table:
    return Table("pass", "entity", "created", "updated", "unchanged", "deleted", "ms")


def figures(result: SyncResult | SyncRun) -> Iterator[str]:
    return map(str, (result.created, result.updated, result.unchanged, result.deleted))


def milliseconds(started: float) -> str:
    return f"{(time.perf_counter() - started) * 1000:.0f}"
