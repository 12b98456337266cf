"""Tables of agent memory: threads, messages, idempotent appends, working memory."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mastra_engine import types
from mastra_engine.models.fields import Decoder, EngineModel, as_value, new_id


class Thread(EngineModel):
    """A conversation of a resource.

    Appending messages locks the thread's row and updates its counters.
    """

    id = models.TextField(_("ID"), primary_key=True, db_collation="C")
    resource_id = models.TextField(
        _("resource ID"), db_collation="C", help_text=_("The owner of the thread, such as a user.")
    )
    title = models.TextField(_("title"), db_default="")
    metadata = models.JSONField(_("metadata"), decoder=Decoder)
    version = models.BigIntegerField(
        _("version"),
        db_default=1,
        help_text=_("Grows with each change of the title or the metadata."),
    )
    message_count = models.BigIntegerField(_("messages"), db_default=0)
    last_position = models.BigIntegerField(
        _("last position"),
        db_default=0,
        help_text=_("The position of the newest message ever appended."),
    )
    total_tokens = models.BigIntegerField(_("tokens"), db_default=0)
    cum_tokens = models.BigIntegerField(
        _("cumulative tokens"),
        db_default=0,
        editable=False,
        help_text=_("The cumulative tokens of the newest message."),
    )
    oldest_at = models.DateTimeField(
        _("oldest message"),
        null=True,
        editable=False,
        help_text=_("No message of the thread is older. Empty in a thread without messages."),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    class Meta:
        verbose_name = _("thread")
        verbose_name_plural = _("threads")
        indexes = [
            models.Index(
                fields=["resource_id", "updated_at", "id"], name="mastra_engine_thread_resource"
            ),
        ]
        # The permission covers the content of all tables. Django needs one model to own it.
        permissions = [
            ("read_content", "Can read the content of conversations, records and vectors"),
        ]

    def to_value(self) -> types.Thread:
        """Return the row as the value that the engine returns."""
        return as_value(self, types.Thread)


class Message(EngineModel):
    """A message of a thread, at a position that it keeps for life."""

    id = models.TextField(_("ID"), primary_key=True, db_collation="C")
    # The migration adds the constraint, with ON DELETE CASCADE in the database: Django's own
    # cascade would load every message of a thread to delete it.
    thread = models.ForeignKey(
        Thread,
        verbose_name=_("thread"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="messages",
    )
    position = models.BigIntegerField(
        _("position"),
        help_text=_("Numbers the messages of a thread in commit order; a deletion leaves a gap."),
    )
    role = models.TextField(_("role"), help_text=_("system, user, assistant or tool."))
    content = models.JSONField(
        _("content"), decoder=Decoder, help_text=_("The parts of the message.")
    )
    text = models.TextField(
        _("text"), help_text=_("The text parts, joined: the input of the embedder.")
    )
    # Null means that the message is not a tool's result.
    tool_call_id = models.TextField(_("tool call ID"), null=True)  # noqa: DJ001
    tokens = models.IntegerField(_("tokens"))
    cum_tokens = models.BigIntegerField(
        _("cumulative tokens"),
        help_text=_(
            "The sum of the tokens of the thread up to and including this message. It counts "
            "messages that were deleted after this one was appended."
        ),
    )
    gap_tokens = models.BigIntegerField(
        db_default=0,
        editable=False,
        help_text=_("The tokens of deleted messages between the previous message and this one."),
    )
    metadata = models.JSONField(_("metadata"), decoder=Decoder)
    embedded_at = models.DateTimeField(
        _("embedded at"), null=True, help_text=_("When its vector was stored, for semantic recall.")
    )
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
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
        # A migration adds a BRIN index on `created_at` in SQL: Django's BrinIndex would force every
        # project to put django.contrib.postgres into INSTALLED_APPS. Messages are stored in the
        # order of their times, so a summary of each range of pages finds those of a day. It has no
        # entry for a row, so appending costs nothing more.

    def to_value(self) -> types.Message:
        """Return the row as the value that the engine returns."""
        return as_value(self, types.Message)


class IdempotentAppend(EngineModel):
    """A call of save_memory() with an idempotency key, and the range of messages it stored."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    thread = models.ForeignKey(
        Thread,
        verbose_name=_("thread"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    idempotency_key = models.TextField(_("idempotency key"), db_collation="C")
    body_hash = models.UUIDField(
        _("request hash"),
        help_text=_("A hash of the messages: the same key with other messages is refused."),
    )
    last_position = models.BigIntegerField(
        _("last position"), help_text=_("The position of the last message stored.")
    )
    message_count = models.IntegerField(_("messages"))
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("idempotent append")
        verbose_name_plural = _("idempotent appends")
        constraints = [
            models.UniqueConstraint(
                fields=["thread", "idempotency_key"], name="mastra_engine_idempotentappend_key"
            ),
        ]


class WorkingMemory(EngineModel):
    """The working memory of a resource or, where `thread` is set, of one of its threads."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    resource_id = models.TextField(_("resource ID"), db_collation="C")
    thread = models.ForeignKey(
        Thread,
        verbose_name=_("thread"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="working_memory",
    )
    content = models.TextField(_("content"), help_text=_("Working memory written as text."))
    data = models.JSONField(
        _("data"), decoder=Decoder, help_text=_("Working memory written as JSON.")
    )
    version = models.BigIntegerField(_("version"), help_text=_("Grows with each update."))
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    class Meta:
        verbose_name = _("working memory")
        verbose_name_plural = _("working memory")
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
