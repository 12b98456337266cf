"""Tables of agent memory."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from mastra_engine import types
from mastra_engine.models.fields import Decoder, as_value, new_id


class Thread(models.Model):
    """A conversation. Its counters are what appending locks, so its rows have room to change."""

    id = models.TextField(primary_key=True, db_collation="C")
    resource_id = models.TextField(db_collation="C")
    title = models.TextField(db_default="")
    metadata = models.JSONField(decoder=Decoder)
    version = models.BigIntegerField(db_default=1)
    message_count = models.BigIntegerField(db_default=0)
    last_position = models.BigIntegerField(db_default=0)
    total_tokens = models.BigIntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(
                fields=["resource_id", "updated_at", "id"], name="mastra_engine_thread_resource"
            ),
        ]
        # Of all that is kept, beside the permissions to view it. Django wants a model to own it.
        permissions = [
            ("read_content", "Can read what conversations, records and vectors hold"),
        ]

    def __str__(self) -> str:
        return f"Thread {self.pk}"

    def to_value(self) -> types.Thread:
        """Return it as the engine does."""
        return as_value(self, types.Thread)


class Message(models.Model):
    """A message. `cum_tokens` is the sum of tokens up to and including it."""

    id = models.TextField(primary_key=True, db_collation="C")
    # The migration adds the constraint, with ON DELETE CASCADE in the database.
    thread = models.ForeignKey(
        Thread,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="messages",
    )
    position = models.BigIntegerField()
    role = models.TextField()
    content = models.JSONField(decoder=Decoder)
    text = models.TextField()
    tool_call_id = models.TextField(null=True)  # noqa: DJ001 - null is "not a tool's result"
    tokens = models.IntegerField()
    cum_tokens = models.BigIntegerField()
    metadata = models.JSONField(decoder=Decoder)
    embedded_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["thread", "position"], name="mastra_engine_message_position"
            ),
        ]
        indexes = [
            models.Index(fields=["thread", "cum_tokens"], name="mastra_engine_message_tokens"),
            models.Index(
                fields=["thread", "position"],
                condition=models.Q(embedded_at=None) & ~models.Q(text=""),
                name="mastra_engine_message_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"Message {self.pk}"

    def to_value(self) -> types.Message:
        """Return it as the engine does."""
        return as_value(self, types.Message)


class IdempotentAppend(models.Model):
    """A call of save_memory() with an idempotency key, and what it stored."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    thread = models.ForeignKey(
        Thread, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    idempotency_key = models.TextField(db_collation="C")
    body_hash = models.UUIDField()
    last_position = models.BigIntegerField()
    message_count = models.IntegerField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["thread", "idempotency_key"], name="mastra_engine_append_key"
            ),
        ]

    def __str__(self) -> str:
        return f"Idempotent append {self.pk}"


class WorkingMemory(models.Model):
    """What an agent keeps in mind of a resource or, where one is named, in a thread."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    resource_id = models.TextField(db_collation="C")
    thread = models.ForeignKey(
        Thread,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="working_memory",
    )
    content = models.TextField()
    data = models.JSONField(decoder=Decoder)
    version = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "working memory"
        constraints = [
            models.UniqueConstraint(
                fields=["thread", "resource_id"],
                nulls_distinct=False,
                name="mastra_engine_workingmemory_holder",
            ),
        ]
        indexes = [
            models.Index(fields=["resource_id", "thread"], name="mastra_engine_memory_resource"),
        ]

    def __str__(self) -> str:
        return f"Working memory {self.pk}"
