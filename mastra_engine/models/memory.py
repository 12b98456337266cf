"""Tables of agent memory: threads, messages, idempotent appends, working memory."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from mastra_engine import types
from mastra_engine.models.fields import Decoder, as_value, new_id


class Thread(models.Model):
    """A conversation of a resource.

    Appending messages locks the thread's row and updates its counters.
    """

    id = models.TextField("ID", primary_key=True, db_collation="C")
    resource_id = models.TextField(
        "resource ID", db_collation="C", help_text="The owner of the thread, such as a user."
    )
    title = models.TextField(db_default="")
    metadata = models.JSONField(decoder=Decoder)
    version = models.BigIntegerField(
        db_default=1, help_text="Grows with each change of the title or the metadata."
    )
    message_count = models.BigIntegerField("messages", db_default=0)
    last_position = models.BigIntegerField(
        db_default=0, help_text="The position of the newest message ever appended."
    )
    total_tokens = models.BigIntegerField("tokens", db_default=0)
    cum_tokens = models.BigIntegerField(
        "cumulative tokens",
        db_default=0,
        editable=False,
        help_text="The cumulative tokens of the newest message.",
    )
    oldest_at = models.DateTimeField(
        "oldest message",
        null=True,
        editable=False,
        help_text="No message of the thread is older. Empty in a thread without messages.",
    )
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(
                fields=["resource_id", "updated_at", "id"], name="mastra_engine_thread_resource"
            ),
        ]
        # The permission covers the content of all tables. Django needs one model to own it.
        permissions = [
            ("read_content", "Can read the content of conversations, records and vectors"),
        ]

    def __str__(self) -> str:
        return f"Thread {self.pk}"

    def to_value(self) -> types.Thread:
        """Return the row as the value that the engine returns."""
        return as_value(self, types.Thread)


class Message(models.Model):
    """A message of a thread, at a position that it keeps for life."""

    id = models.TextField("ID", primary_key=True, db_collation="C")
    # The migration adds the constraint, with ON DELETE CASCADE in the database: Django's own
    # cascade would load every message of a thread to delete it.
    thread = models.ForeignKey(
        Thread,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="messages",
    )
    position = models.BigIntegerField(
        help_text="Numbers the messages of a thread in commit order; a deletion leaves a gap."
    )
    role = models.TextField(help_text="system, user, assistant or tool.")
    content = models.JSONField(decoder=Decoder, help_text="The parts of the message.")
    text = models.TextField(help_text="The text parts, joined: the input of the embedder.")
    # Null means that the message is not a tool's result.
    tool_call_id = models.TextField("tool call ID", null=True)  # noqa: DJ001
    tokens = models.IntegerField()
    cum_tokens = models.BigIntegerField(
        "cumulative tokens",
        help_text="The sum of the tokens of the thread up to and including this message. It counts "
        "messages that were deleted after this one was appended.",
    )
    gap_tokens = models.BigIntegerField(
        db_default=0,
        editable=False,
        help_text="The tokens of deleted messages between the previous message and this one.",
    )
    metadata = models.JSONField(decoder=Decoder)
    embedded_at = models.DateTimeField(
        null=True, help_text="When its vector was stored, for semantic recall."
    )
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
                fields=["thread", "cum_tokens"],
                condition=models.Q(gap_tokens__gt=0),
                name="mastra_engine_message_gaps",
            ),
            models.Index(
                fields=["thread", "position"],
                condition=models.Q(embedded_at=None) & ~models.Q(text=""),
                name="mastra_engine_message_waiting",
            ),
        ]

    def __str__(self) -> str:
        return f"Message {self.pk}"

    def to_value(self) -> types.Message:
        """Return the row as the value that the engine returns."""
        return as_value(self, types.Message)


class IdempotentAppend(models.Model):
    """A call of save_memory() with an idempotency key, and the range of messages it stored."""

    id = models.UUIDField("ID", primary_key=True, default=new_id, editable=False)
    thread = models.ForeignKey(
        Thread, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    idempotency_key = models.TextField(db_collation="C")
    body_hash = models.UUIDField(
        "request hash",
        help_text="A hash of the messages: the same key with other messages is refused.",
    )
    last_position = models.BigIntegerField(help_text="The position of the last message stored.")
    message_count = models.IntegerField("messages")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["thread", "idempotency_key"], name="mastra_engine_idempotentappend_key"
            ),
        ]

    def __str__(self) -> str:
        return f"Idempotent append {self.pk}"


class WorkingMemory(models.Model):
    """The working memory of a resource or, where `thread` is set, of one of its threads."""

    id = models.UUIDField("ID", primary_key=True, default=new_id, editable=False)
    resource_id = models.TextField("resource ID", db_collation="C")
    thread = models.ForeignKey(
        Thread,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="working_memory",
    )
    content = models.TextField(help_text="Working memory written as text.")
    data = models.JSONField(decoder=Decoder, help_text="Working memory written as JSON.")
    version = models.BigIntegerField(help_text="Grows with each update.")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "working memory"
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
