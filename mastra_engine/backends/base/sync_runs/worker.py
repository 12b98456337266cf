"""The execution of a run by one worker: it writes each page of the source in a transaction."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict, replace
from itertools import accumulate, pairwise
from typing import Any

import orjson

from mastra_engine import failpoints
from mastra_engine.backends.base.records.chunks import Chunks
from mastra_engine.backends.base.records.seen_revisions import SeenRevisions
from mastra_engine.backends.base.records.store import EntityWriter
from mastra_engine.backends.base.records.syncs import any_records, delete_unseen, refuse_to_empty
from mastra_engine.backends.base.sync_runs.lease import Lease, LeaseLost, RunPaused
from mastra_engine.backends.base.sync_runs.log import RunLog
from mastra_engine.backends.base.sync_runs.store import NewPage
from mastra_engine.exceptions import EntityNotFound, InvalidInput, quoted
from mastra_engine.registry import SyncDeclaration
from mastra_engine.types import Progress, RecordInput, SyncRun, UpsertResult
from mastra_engine.validation.inputs import count
from mastra_engine.validation.jsonb import canonical, loads, plain_keys, plain_text, pointer
from mastra_engine.validation.sync_params import validated_params

#: The number of records in a page when the source yields single records.
PAGE_RECORDS = 1_000

Watch = Callable[[SyncRun], None]


class SyncContext:
    """The argument of a sync function; `checkpoint` is the last one that was committed, or None."""

    def __init__(self, run: SyncRun, params: Any, log: RunLog) -> None:
        self.connection_id = run.connection_id
        self.params = params
        self.checkpoint = run.checkpoint
        self.log = log
        self.saved: dict[str, Any] = {}

    def save_checkpoint(self, value: Any) -> None:
        """Save a JSON value from which the next run resumes, after the records yielded so far.

        It is committed together with the last page yielded before this call, never earlier.
        """
        self.checkpoint = loads(canonical(value, ("checkpoint",)))
        self.saved["checkpoint"] = self.checkpoint

    def progress(self, done: int, total: int | None = None) -> None:
        """Report the progress in any unit; it is stored together with the next page."""
        self.saved["progress"] = Progress(
            done=count(done, "/done"), total=None if total is None else count(total, "/total")
        )


class RunSeenRevisions(SeenRevisions):
    """The revisions that all pages of a run have seen, including those of earlier workers."""

    def __init__(self, start: int, packed_pages: Iterable[bytes]) -> None:
        super().__init__(start)
        for page in packed_pages:
            super().add(_unpacked(page))
        self.page: list[int] = []

    def add(self, revs: Iterable[int]) -> None:
        old = [rev for rev in revs if rev <= self.start]
        self.page += old
        super().add(old)


class Worker:
    """Executes a run from its checkpoint to its end, as long as it holds the lease."""

    def __init__(
        self,
        declared: SyncDeclaration,
        run: SyncRun,
        lease: Lease,
        *,
        write: Callable[..., SyncRun],
        watch: Watch | None,
    ) -> None:
        self.declared = declared
        self.run = run
        self.lease = lease
        earlier_attempts = lease.store.log(run.id) if run.attempts > 1 else ()
        self.log = RunLog(run, earlier_attempts)
        self.write = write
        self.watch = watch
        self.seen: RunSeenRevisions | None = None
        self.allow_empty = declared.allow_empty
        self.page: list[Any] = []
        self.saved: dict[str, Any] = {}

    def work(self) -> None:
        """Read the source to its end and write its records.

        Errors of the source are raised after the records before them are written, and the lease is
        not released then.
        """
        if self.run.mode == "full":
            packed_pages = self.lease.store.unchanged_revs(self.run.id) if self.run.pages else ()
            self.seen = RunSeenRevisions(self.run.start_rev or 0, packed_pages)
        params = validated_params(self.declared.params, self.run.params)
        context = SyncContext(self.run, params, self.log)
        self.saved = context.saved
        source = self.declared.function(context)
        if isinstance(source, str | bytes | Mapping) or not isinstance(source, Iterable):
            raise InvalidInput(
                f"The sync {quoted(self.run.sync)} returned {_shown_type(source)}; it must yield "
                "or return its records, or return an empty list"
            )
        # An empty list says that there are no records; a generator may have been misled.
        self.allow_empty = self.declared.allow_empty or isinstance(source, Collection)
        with closing(source) if hasattr(source, "close") else nullcontext():  # type: ignore[type-var]
            try:
                self._read(source)
            except (LeaseLost, RunPaused):
                raise
            except Exception:
                self._commit()  # The source yielded these records before it failed.
                raise
        self._commit(last=True)

    def _read(self, source: Iterable[Any]) -> None:
        """Commit each page when the source yields again, because it may save a checkpoint first."""
        complete = False
        for item in source:
            listed = isinstance(item, list | tuple)
            if complete or (listed and self.page):
                self._commit()
            self.page += item if listed else [item]
            complete = listed or len(self.page) >= PAGE_RECORDS

    def _commit(self, *, last: bool = False) -> None:
        """Write the current page, with the checkpoint and progress saved since the previous one."""
        records, self.page = self.page, []
        saved = dict(self.saved)
        self.saved.clear()
        if not (records or saved or last):
            return
        chunks = Chunks(_inputs(records, self.declared.key))
        log = self.log.unstored()

        def write(writer: EntityWriter) -> SyncRun:
            page = self._put(writer, chunks, last=last)
            failpoints.hit("run_page_written")
            stored_page = page if records or page.deleted else None
            run = replace(_after(self.run, stored_page), **saved)
            self.lease.advance(run, stored_page, last=last, log=log)
            if last and self.seen is not None and self.run.pages:
                self.lease.store.forget(run.id)
            failpoints.hit("run_page_fenced")
            return run

        try:
            self.run = self.write(self.run.entity_id, write)
        except EntityNotFound:
            raise LeaseLost from None  # The entity was deleted together with its runs.
        failpoints.hit("run_page_committed")
        self.log.stored(log)
        if self.watch is not None:
            self.watch(self.run)
        if self.lease.paused:
            raise RunPaused

    def _put(self, writer: EntityWriter, chunks: Chunks, *, last: bool) -> NewPage:
        seen = writer.seen = self.seen
        if seen is not None:
            seen.page = []
        written = sum(
            (writer.put(chunk) for chunk in chunks.of(self.run.entity)), start=UpsertResult()
        )
        if last and seen is not None and not (any_records(written) or any_records(self.run)):
            self._check_empty(writer)
        deleted = self._delete_unseen(writer, self.run.created + written.created) if last else 0
        unchanged_revs = None
        if seen is not None and seen.page and not last:
            unchanged_revs = _packed(seen.page)
        return NewPage(**asdict(written), deleted=deleted, unchanged_revs=unchanged_revs)

    def _check_empty(self, writer: EntityWriter) -> None:
        if not self.allow_empty:
            remedy = (
                f"declare {quoted(self.run.sync)} with allow_empty=True or return an empty list"
            )
            refuse_to_empty(writer, remedy=remedy)

    def _delete_unseen(self, writer: EntityWriter, created: int) -> int:
        ratio = self.declared.max_delete_ratio if self.seen is not None else None
        failpoints.hit("run_before_deletions")
        live = 0 if ratio is None else writer.live() - created  # The records before this run.
        return delete_unseen(writer, self.seen, ratio=ratio, live=live)


def _after(run: SyncRun, page: NewPage | None) -> SyncRun:
    """Return a run with the counts of a page added."""
    if page is None:
        return run
    return replace(
        run,
        pages=run.pages + 1,
        created=run.created + page.created,
        updated=run.updated + page.updated,
        unchanged=run.unchanged + page.unchanged,
        deleted=run.deleted + page.deleted,
    )


def _inputs(page: list[Any], key: str | None) -> list[Any]:
    """Return plain documents as records, with the value of `key` as their id.

    Raises InvalidInput if an integer and a text of the page would be the same id.
    """
    if key is None:
        return page
    records, first_ids = [], dict[str, tuple[int, int | str]]()
    for position, item in enumerate(page):
        id, document = _keyed(item, key, position)
        first_position, first_id = first_ids.setdefault(str(id), (position, id))
        if isinstance(id, str) != isinstance(first_id, str):
            first_path = pointer(("records", first_position, key))
            raise InvalidInput(
                f"the external id {_shown_id(id)} would overwrite the record of the id "
                f"{_shown_id(first_id)} at {first_path}: integers are stored as text. Yield one of "
                "them as another text, for example with a prefix",
                path=pointer(("records", position, key)),
            )
        records.append(RecordInput(str(id), document))
    return records


def _keyed(item: Any, key: str, position: int) -> tuple[int | str, dict[str, Any]]:
    if not isinstance(item, Mapping):
        message = f"must be a JSON object, not {_shown_type(item)}"
        raise InvalidInput(message, path=f"/records/{position}")
    item = plain_keys(item)
    path = pointer(("records", position, key))
    if key not in item:
        keys = ", ".join(map(str, item))
        raise InvalidInput(
            f"the document has no key {quoted(key)}, which the sync declares as its external id. "
            f"Its keys: {keys:.200}",
            path=path,
        )
    id = plain_text(item[key])
    if isinstance(id, bool) or not isinstance(id, int | str):
        message = f"the external id must be text or an integer, not {_shown_type(id)}"
        raise InvalidInput(message, path=path)
    return id, dict(item)


def _shown_id(id: int | str) -> str:
    return f"{quoted(id)} (text)" if isinstance(id, str) else f"{id:d} (an integer)"


def _shown_type(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _packed(revs: Iterable[int]) -> bytes:
    """Compress revisions as differences: a page of 1,000 takes a few hundred bytes at most."""
    steps = [now - before for before, now in pairwise((0, *sorted(revs)))]
    return zlib.compress(orjson.dumps(steps), level=1)


def _unpacked(page: bytes) -> Iterator[int]:
    return accumulate(orjson.loads(zlib.decompress(page)))
