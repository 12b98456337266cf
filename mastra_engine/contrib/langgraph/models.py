"""Tables of LangGraph's checkpoints.

Their rows refer to each other by ids without foreign keys, because LangGraph stores the writes of
a checkpoint while it stores the checkpoint, in any order.
"""

from __future__ import annotations

from django.db import models
from django.db.models.fields.json import KT

from mastra_engine.models.fields import Decoder


class Stored(models.Model):
    """Columns of all tables: the thread, and a value that a serializer of LangGraph wrote."""

    # Collated by code points, as Python compares text: the latest checkpoint is the largest id.
    thread_id = models.TextField("thread ID", db_collation="C")
    checkpoint_ns = models.TextField(
        "namespace", db_collation="C", help_text="The path of the subgraph; empty for the graph."
    )
    type = models.TextField(help_text="The serializer's name of the value's format.")
    value = models.BinaryField()

    class Meta:
        abstract = True


class Checkpoint(Stored):
    """A checkpoint of a thread, without the values of its channels."""

    pk = models.CompositePrimaryKey("thread_id", "checkpoint_ns", "checkpoint_id")
    checkpoint_id = models.TextField("checkpoint ID", db_collation="C")
    # Null means that the checkpoint is the first of its thread.
    parent_id = models.TextField("parent ID", db_collation="C", null=True)  # noqa: DJ001
    channel_versions = models.JSONField(
        decoder=Decoder, help_text="The version of each channel, by which its value is found."
    )
    metadata = models.JSONField(
        decoder=Decoder, help_text="Metadata that JSON can represent; the value has the rest."
    )

    class Meta:
        indexes = [
            models.Index(
                KT("metadata__run_id"),
                condition=models.Q(metadata__has_key="run_id"),
                name="mastra_langgraph_run",
            ),
            models.Index(
                KT("metadata__resource_id"),
                condition=models.Q(metadata__has_key="resource_id"),
                name="mastra_langgraph_resource",
            ),
        ]

    def __str__(self) -> str:
        return f"Checkpoint {self.checkpoint_id}"


class ChannelValue(Stored):
    """The value of a channel at one version, which all checkpoints with that version share."""

    pk = models.CompositePrimaryKey("thread_id", "checkpoint_ns", "channel", "version")
    channel = models.TextField(db_collation="C")
    version = models.TextField(db_collation="C")

    def __str__(self) -> str:
        return f"{self.channel} at version {self.version}"


class Write(Stored):
    """A value that a task wrote to a channel after a checkpoint."""

    pk = models.CompositePrimaryKey(
        "thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "position"
    )
    checkpoint_id = models.TextField("checkpoint ID", db_collation="C")
    task_id = models.TextField("task ID", db_collation="C")
    position = models.IntegerField(
        help_text="The place among the task's writes; negative for errors, interrupts and the like."
    )
    task_path = models.TextField(db_collation="C")
    channel = models.TextField(db_collation="C")

    def __str__(self) -> str:
        return f"Write to {self.channel}"
