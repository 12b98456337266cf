"""The rows of the statements as LangGraph's values."""

# ruff: noqa: E402  the extra is checked before it is imported

from __future__ import annotations

from mastra_engine.optional_deps import require

require("langgraph", "langgraph", by="mastra_engine.contrib.langgraph")

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from langgraph.checkpoint.base import CheckpointTuple, writes_sort_key

from mastra_engine.contrib.langgraph.serialization import Key
from mastra_engine.validation.jsonb import loads


class Row(NamedTuple):
    """A row of READ: a checkpoint, a channel's value (no task), or a write."""

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str
    parent_id: str | None
    channel_versions: str
    metadata: str
    channel: str | None
    task_id: str | None
    task_path: str
    position: int
    type: str
    value: bytes


class Step(NamedTuple):
    """A row of DELTA_HISTORY: a visited checkpoint, a channel's value (no task), or a write."""

    checkpoint_id: str
    parent_id: str | None
    is_target: bool
    channel: str | None
    task_id: str | None
    task_path: str
    position: int
    type: str
    value: bytes


def write_order(write: Row | Step) -> tuple[str, str, int]:
    """Return the key by which LangGraph orders the writes after one checkpoint."""
    order: tuple[str, str, int] = writes_sort_key(
        write.task_path, write.task_id or "", write.position
    )
    return order


def load(serde: Any, row: Row | Step) -> Any:
    return serde.loads_typed((row.type, row.value))


def checkpoint_tuples(rows: Iterable[Row], serde: Any) -> list[CheckpointTuple]:
    """Return the checkpoints of the rows, latest first."""
    heads: dict[Key, Row] = {}
    values: dict[Key, dict[str, Any]] = defaultdict(dict)
    writes: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        place = Key(*row[:3])
        if row.channel is None:
            heads[place] = row
        elif row.task_id is None:
            values[place][row.channel] = load(serde, row)
        else:
            writes[place].append(row)
    order = sorted(heads, key=lambda k: (k.checkpoint_id, *k), reverse=True)
    return [_checkpoint_tuple(heads[place], values[place], writes[place], serde) for place in order]


def _checkpoint_tuple(
    head: Row, values: dict[str, Any], writes: list[Row], serde: Any
) -> CheckpointTuple:
    place, (body, rest) = Key(*head[:3]), load(serde, head)
    parent = place._replace(checkpoint_id=head.parent_id) if head.parent_id else None
    return CheckpointTuple(
        config=place.config,
        checkpoint={
            **body,
            "id": head.checkpoint_id,
            "channel_values": values,
            "channel_versions": loads(head.channel_versions),
        },
        metadata={**loads(head.metadata), **rest},
        parent_config=parent and parent.config,
        pending_writes=[
            (write.task_id, write.channel, load(serde, write))
            for write in sorted(writes, key=write_order)
        ],
    )


def history(steps: Iterable[Step], serde: Any) -> Iterator[tuple[str, str | None, Any]]:
    """Yield channel, task and value of the rows of a checkpoint's ancestors, oldest first.

    A channel's value, without a task, comes before the writes after the same checkpoint.
    """
    target: Step | None = None
    visited: dict[str | None, Step] = {}
    parts: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        if step.channel is not None:
            parts[step.checkpoint_id].append(step)
        elif step.is_target:
            target = step
        else:
            visited[step.checkpoint_id] = step
    for checkpoint_id in reversed(_ancestors(target, visited)):
        for step in sorted(parts[checkpoint_id], key=_step_order):
            yield str(step.channel), step.task_id, load(serde, step)


def _step_order(step: Step) -> tuple[bool, tuple[str, str, int]]:
    return step.task_id is not None, write_order(step)


def _ancestors(step: Step | None, visited: dict[str | None, Step]) -> list[str]:
    """Return the ids of the ancestors, nearest first, each once even if they form a circle."""
    ids: dict[str, None] = {}
    while step and (step := visited.get(step.parent_id)) and step.checkpoint_id not in ids:
        ids[step.checkpoint_id] = None
    return [*ids]
