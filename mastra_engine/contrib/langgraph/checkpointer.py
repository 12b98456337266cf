"""The checkpointer: LangGraph's checkpoints in the tables of this app."""

# ruff: noqa: E402  the extra is checked before it is imported

from __future__ import annotations

from mastra_engine.optional_deps import require

require("langgraph", "langgraph", by="mastra_engine.contrib.langgraph")

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import islice
from secrets import randbits
from typing import Any

from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import connections
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.event_loop import refuse_in_event_loop
from mastra_engine.backends.base.paging import aiter_items
from mastra_engine.contrib.langgraph import statements
from mastra_engine.contrib.langgraph.connections import (
    CallersMethod,
    execute,
    joined_connection,
)
from mastra_engine.contrib.langgraph.rows import Row, Step, checkpoint_tuples, history
from mastra_engine.contrib.langgraph.serialization import (
    conditions,
    dumped,
    identifier,
    key,
    matches,
    serialized,
    split_metadata,
    versions,
)
from mastra_engine.exceptions import EngineConfigError
from mastra_engine.validation import inputs
from mastra_engine.validation.jsonb import pointer

APP = "mastra_engine.contrib.langgraph"
#: How many checkpoints one statement reads.
PAGE = 50
#: The parts of a checkpoint that have columns of their own.
COLUMNS = {"id", "channel_values", "channel_versions"}


@refuse_in_event_loop
class DjangoCheckpointer(BaseCheckpointSaver[int]):
    """Store checkpoints on a connection of the project, in the caller's transaction.

    Values are serialized by LangGraph's msgpack serializer, which restores the types on its
    allow-list only. To allow types of your own, or to encrypt, pass another `serde`.
    """

    def __init__(self, *, using: str = "default", serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde or JsonPlusSerializer(allowed_msgpack_modules=None))
        if using not in connections:
            raise EngineConfigError(f"DATABASES has no alias {using!r}")
        if not apps.is_installed(APP):
            raise EngineConfigError(
                f'Add "{APP}" to INSTALLED_APPS, and run manage.py engine_migrate'
            )
        self.using = using

    def get_tuple(self, config: Any) -> CheckpointTuple | None:
        """Return the checkpoint that the configuration names, by default the latest one."""
        return next(iter(self._read(conditions(key(config)), limit=1)), None)

    def list(
        self,
        config: Any | None,
        *,
        filter: dict[str, Any] | None = None,
        before: Any | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Iterate over checkpoints, latest first.

        Without a namespace in `config` those of all subgraphs are included, without `config` those
        of all threads. `filter` names metadata that has to be equal.
        """
        where = conditions(key(config, namespace=None) if config else None, filter, before)
        size = PAGE if limit is None else min(max(limit, 0), PAGE)
        matching = (
            checkpoint
            for checkpoint in self._pages(where, size)
            if matches(checkpoint.metadata, filter)
        )
        return islice(matching, None if limit is None else max(limit, 0))

    async def alist(
        self,
        config: Any | None,
        *,
        filter: dict[str, Any] | None = None,
        before: Any | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """See list()."""
        checkpoints = await sync_to_async(self.list)(
            config, filter=filter, before=before, limit=limit
        )
        async for checkpoint in aiter_items(checkpoints, size=PAGE):
            yield checkpoint

    def put(
        self,
        config: Any,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> dict[str, Any]:
        """Store a checkpoint, and the values of channels with a new version.

        Raises InvalidInput if a part cannot be serialized; then nothing is stored.
        """
        parent, values = key(config), checkpoint["channel_values"]
        stored = parent._replace(checkpoint_id=identifier(checkpoint["id"], "/checkpoint/id"))
        plain, rest = split_metadata(get_checkpoint_metadata(config, metadata))
        body = {name: part for name, part in checkpoint.items() if name not in COLUMNS}
        type_, value = dumped(self.serde, [body, rest], "/checkpoint")
        changed = (
            (channel, pointer(("checkpoint", "channel_values", channel)), values[channel])
            for channel in sorted(new_versions)
            if channel in values
        )
        self._execute(
            statements.PUT,
            **stored._asdict(),
            parent_id=parent.checkpoint_id,
            channel_versions=versions(
                checkpoint["channel_versions"], "checkpoint", "channel_versions"
            ),
            metadata=plain,
            type=type_,
            value=value,
            new_versions=versions(new_versions, "new_versions"),
            **serialized(self.serde, changed)._asdict(),
        )
        return stored.config

    def put_writes(
        self,
        config: Any,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store the writes of a task after a checkpoint, if they are not stored already."""
        place = key(config)
        after = identifier(place.checkpoint_id, "/config/configurable/checkpoint_id")
        # The last write to a channel like that of errors replaces those before it.
        by_position = {
            WRITES_IDX_MAP.get(channel, index): (
                inputs.text(channel, f"/writes/{index}/0"),
                f"/writes/{index}/1",
                value,
            )
            for index, (channel, value) in enumerate(writes)
        }
        self._execute(
            statements.PUT_WRITES,
            **place._replace(checkpoint_id=after)._asdict(),
            task_id=identifier(task_id, "/task_id"),
            task_path=inputs.text(task_path, "/task_path"),
            positions=[*by_position],
            **serialized(self.serde, by_position.values())._asdict(),
        )

    def delete_thread(self, thread_id: str) -> None:
        """Delete the checkpoints of a thread, with their writes."""
        self.prune([thread_id], strategy="delete")

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of runs, which have the run's id in their metadata."""
        self._execute(
            statements.DELETE_RUNS, run_ids=inputs.names(run_ids, "/run_ids", check=identifier)
        )

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints of a thread; those that the target has already stay as they are."""
        self._execute(
            statements.COPY_THREAD,
            source=identifier(source_thread_id, "/source_thread_id"),
            target=identifier(target_thread_id, "/target_thread_id"),
        )

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete all but the latest checkpoint of each namespace, or all ("delete").

        Ancestors that a delta channel of the latest checkpoint is rebuilt from are kept.
        """
        keep = inputs.choice(strategy, "/strategy", "keep_latest", "delete") == "keep_latest"
        self._execute(
            statements.KEEP_LATEST if keep else statements.DELETE_THREADS,
            thread_ids=inputs.names(thread_ids, "/thread_ids", check=identifier),
        )

    def get_delta_channel_history(
        self, *, config: Any, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return, per channel, the writes since its last stored value, and that value as `seed`.

        One statement walks from the checkpoint to its ancestors.
        """
        names = inputs.names(channels, "/channels", check=inputs.text)
        if not names:
            return {}
        rows = self._execute(statements.DELTA_HISTORY, **key(config)._asdict(), channels=names)
        histories = {channel: DeltaChannelHistory(writes=[]) for channel in names}
        for channel, task_id, value in history((Step(*row) for row in rows), self.serde):
            if task_id is None:
                histories[channel]["seed"] = value
            else:
                histories[channel]["writes"].append((task_id, channel, value))
        return histories

    aget_tuple = derive_async(get_tuple)
    aput = derive_async(put)
    aput_writes = derive_async(put_writes)
    adelete_thread = derive_async(delete_thread)
    adelete_for_runs = derive_async(delete_for_runs)
    acopy_thread = derive_async(copy_thread)
    aprune = derive_async(prune)
    aget_delta_channel_history = derive_async(get_delta_channel_history)

    def get_next_version(self, current: Any, channel: None) -> Any:
        """Return a version above `current` that no other branch of the thread has.

        It is a counter followed by 32 random bits, because two branches from one checkpoint count
        alike, and each has values of its own. Threads copied from another checkpointer keep its
        notation.
        """
        if isinstance(current, str):
            return f"{int(current.split('.')[0]) + 1:032}.{randbits(53):016}"
        return (int(current or 0) >> 32) + 1 << 32 | randbits(32)

    def _pages(self, where: dict[str, Any], size: int) -> Iterator[CheckpointTuple]:
        page = self._read(where, limit=size)
        while page:
            yield from page
            last = page[-1].config["configurable"]
            after = {f"after_{name}": value for name, value in last.items()}
            page = self._read({**where, **after}, limit=size) if len(page) == size else []

    def _read(self, where: dict[str, Any], *, limit: int) -> Sequence[CheckpointTuple]:
        rows = self._execute(statements.READ, **where, limit=limit)
        return checkpoint_tuples((Row(*row) for row in rows), self.serde)

    def _execute(self, statement: str, **parameters: Any) -> Sequence[Any]:
        with joined_connection(self.using) as connection:
            return execute(connection, statement, parameters)


# Here, because the decorator of the class changes functions only.
DjangoCheckpointer.put_writes = CallersMethod(  # type: ignore[method-assign, assignment]
    DjangoCheckpointer.put_writes
)
