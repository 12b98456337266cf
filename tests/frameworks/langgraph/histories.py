"""Random histories of checkpoints, applied to several checkpointers alike."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, _DeltaSnapshot

CHANNELS = ["messages", "facts", "plain", "naïve 🙂"]
THREADS = ["a", "b", "a%", "ä"]
NAMESPACES = ["", "child:1", "child:1|grandchild:2"]


class History:
    """A random history; the same calls are made on each checkpointer."""

    def __init__(self, savers: Sequence[Any], seed: int) -> None:
        self.savers = savers
        self.random = Random(seed)
        self.stored: list[tuple[Any, dict[str, Any]]] = []
        self.version = 0

    def step(self) -> None:
        operation = self.random.choices(
            [self.put, self.put_writes, self.delete_thread], [10, 12, 0.3]
        )[0]
        operation()

    def call(self, method: str, *arguments: Any, **keywords: Any) -> list[Any]:
        return [getattr(saver, method)(*arguments, **keywords) for saver in self.savers]

    def place(self) -> Any:
        """Return the configuration of a new thread, or of a stored checkpoint."""
        if self.stored and self.random.random() < 0.9:
            # Mostly one of the latest, now and then an old one, from which a branch starts.
            recent = self.stored[-4:] if self.random.random() < 0.8 else self.stored
            return self.random.choice(recent)
        names = {
            "thread_id": self.random.choice(THREADS),
            "checkpoint_ns": self.random.choice(NAMESPACES),
        }
        return {"configurable": names}, {}

    def put(self) -> None:
        config, versions = self.place()
        changed = self.random.sample(CHANNELS, self.random.randint(0, len(CHANNELS)))
        self.version += 1
        new_versions = dict.fromkeys(changed, self.version)
        # Delta channels have a version and, but for snapshots, no value.
        values = {c: self.value() for c in changed if self.random.random() < 0.3}
        checkpoint = {
            **empty_checkpoint(),
            "id": str(uuid6(clock_seq=self.version)),
            "channel_values": values,
            "channel_versions": {**versions, **new_versions},
            "versions_seen": {"node": dict(versions)},
        }
        metadata = {"source": self.random.choice(["loop", "input"]), "step": self.version % 5}
        stored, *others = self.call("put", config, checkpoint, metadata, new_versions)
        assert all(other == stored for other in others)
        self.stored.append((stored, checkpoint["channel_versions"]))

    def put_writes(self) -> None:
        if self.stored:
            config, _ = self.place()
            if "checkpoint_id" in config["configurable"]:
                names = [*CHANNELS, *CHANNELS, ERROR, INTERRUPT, RESUME]
                writes = [
                    (self.random.choice(names), self.value())
                    for _ in range(self.random.randint(0, 4))
                ]
                task = self.random.choice("pqr")
                self.call("put_writes", config, writes, task, self.random.choice(["", "~x", "y"]))

    def delete_thread(self) -> None:
        thread_id = self.random.choice(THREADS)
        self.call("delete_thread", thread_id)
        self.stored = [
            (config, versions)
            for config, versions in self.stored
            if config["configurable"]["thread_id"] != thread_id
        ]

    def value(self) -> Any:
        value = self.random.choice(
            [
                None,
                True,
                3,
                -0.5,
                "text",
                "nul \0",
                b"\0\xff",
                [1, "two"],
                {"a": {"b": None}},
                {7: 8},
            ]
        )
        return _DeltaSnapshot(value) if self.random.random() < 0.2 else value


def comparable(checkpoint: CheckpointTuple | None) -> Any:
    """Return a checkpoint as data; a configuration is only its place."""
    if checkpoint is None:
        return None
    config, stored, metadata, parent, writes = checkpoint
    return config["configurable"], stored, metadata, parent, writes
