"""Tables of the runs of declared syncs."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mastra_engine import types
from mastra_engine.models.fields import Decoder, EngineModel, as_value, new_id
from mastra_engine.models.records import Entity


class Sync(EngineModel):
    """A declared sync of one connection: its checkpoints, and whether it is paused."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    sync = models.TextField(
        _("sync"), db_collation="C", help_text=_("The name of the declared sync.")
    )
    connection_id = models.TextField(_("connection ID"), db_collation="C")
    # The migration adds the constraint, with ON DELETE CASCADE in the database.
    entity = models.ForeignKey(
        Entity,
        verbose_name=_("entity"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="syncs",
    )
    mode = models.TextField(_("mode"), help_text=_("The mode of the last run."))
    checkpoints = models.JSONField(
        _("checkpoints"),
        decoder=Decoder,
        db_default=[],
        help_text=_("The checkpoint for each set of parameters; the last one is of the last run."),
    )
    last_run_id = models.UUIDField(_("last run ID"), null=True)
    last_succeeded_at = models.DateTimeField(_("last succeeded at"), null=True)
    paused_at = models.DateTimeField(
        _("paused at"), null=True, help_text=_("A paused sync begins no new runs.")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    class Meta:
        verbose_name = _("sync")
        verbose_name_plural = _("syncs")
        constraints = [
            models.UniqueConstraint(
                fields=["sync", "connection_id"], name="mastra_engine_sync_name"
            ),
        ]

    def to_value(self, last_status: str | None) -> types.Sync:
        """Return the row as the value that the engine returns; `last_status` is its last run's.

        It reads the entity's name: select it with `select_related("entity")`.
        """
        return types.Sync(
            sync=self.sync,
            connection_id=self.connection_id,
            entity_id=self.entity_id,
            entity=self.entity.name,
            mode=self.mode,  # type: ignore[arg-type]
            status=types.sync_status(paused=self.paused_at is not None, last_status=last_status),
            checkpoint=self.checkpoints[-1]["checkpoint"] if self.checkpoints else None,
            last_run_id=self.last_run_id,
            last_succeeded_at=self.last_succeeded_at,
            paused_at=self.paused_at,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


class SyncRun(EngineModel):
    """A run of a declared sync. The holder of `lease_token` writes until its lease expires."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    sync = models.TextField(
        _("sync"), db_collation="C", help_text=_("The name of the declared sync.")
    )
    connection_id = models.TextField(_("connection ID"), db_collation="C")
    # The migration adds the constraint, with ON DELETE CASCADE in the database.
    entity = models.ForeignKey(
        Entity,
        verbose_name=_("entity"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="sync_runs",
    )
    mode = models.TextField(
        _("mode"),
        help_text=_(
            "full: records that the run does not yield are deleted. incremental: they stay."
        ),
    )
    status = models.TextField(_("status"), db_default="queued")
    params = models.JSONField(_("parameters"), decoder=Decoder)
    checkpoint = models.JSONField(
        _("checkpoint"),
        decoder=Decoder,
        null=True,
        help_text=_("The state that the next attempt or run resumes from."),
    )
    progress = models.JSONField(_("progress"), decoder=Decoder, null=True)
    pages = models.BigIntegerField(
        _("pages"),
        db_default=0,
        help_text=_("Pages of records committed, each with its checkpoint."),
    )
    created = models.BigIntegerField(_("created"), db_default=0)
    updated = models.BigIntegerField(_("updated"), db_default=0)
    unchanged = models.BigIntegerField(_("unchanged"), db_default=0)
    deleted = models.BigIntegerField(_("deleted"), db_default=0)
    attempts = models.IntegerField(
        _("attempts"),
        db_default=0,
        help_text=_("How many workers have started the run, retries included."),
    )
    error = models.JSONField(_("error"), decoder=Decoder, null=True)
    log = models.JSONField(
        _("log"),
        decoder=Decoder,
        db_default=[],
        help_text=_("The newest lines that the sync wrote."),
    )
    start_rev = models.BigIntegerField(
        _("start revision"), null=True, help_text=_("The entity's revision when the run started.")
    )
    lease_token = models.UUIDField(null=True, editable=False)
    lease_expires_at = models.DateTimeField(
        _("lease expires at"),
        null=True,
        help_text=_("A worker that stops renewing its lease loses the run at this time."),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name = _("sync run")
        verbose_name_plural = _("sync runs")
        constraints = [
            models.UniqueConstraint(
                fields=["sync", "connection_id"],
                condition=models.Q(status__in=types.ACTIVE),
                name="mastra_engine_syncrun_active",
            ),
        ]
        indexes = [
            models.Index(
                fields=["sync", "connection_id", "created_at", "id"],
                name="mastra_engine_syncrun_of",
            ),
            models.Index(fields=["created_at", "id"], name="mastra_engine_syncrun_age"),
            models.Index(fields=["finished_at", "id"], name="mastra_engine_syncrun_end"),
        ]

    def to_value(self) -> types.SyncRun:
        """Return the row as the value that the engine returns.

        It reads the entity's name: select it with `select_related("entity")`.
        """
        return types.SyncRun(
            id=self.id,
            sync=self.sync,
            connection_id=self.connection_id,
            entity_id=self.entity_id,
            entity=self.entity.name,
            mode=self.mode,  # type: ignore[arg-type]
            status=self.status,  # type: ignore[arg-type]
            params=self.params,
            checkpoint=self.checkpoint,
            progress=None if self.progress is None else types.Progress(**self.progress),
            pages=self.pages,
            created=self.created,
            updated=self.updated,
            unchanged=self.unchanged,
            deleted=self.deleted,
            attempts=self.attempts,
            error=None if self.error is None else types.SyncError(**self.error),
            start_rev=self.start_rev,
            lease_expires_at=self.lease_expires_at,
            created_at=self.created_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
        )


class SyncPage(EngineModel):
    """A committed page of a sync run, with its counts and its checkpoint.

    `unchanged_revs` holds the revisions of the records that an unfinished full run has seen
    unchanged in the page. A worker that takes the run over needs them, so that it does not delete
    these records; they are dropped when the run ends.
    """

    run = models.ForeignKey(
        SyncRun,
        verbose_name=_("run"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="history",
    )
    number = models.IntegerField(
        _("number"), help_text=_("Numbers the pages of a run, beginning with 1.")
    )
    attempt = models.IntegerField(
        _("attempt"), help_text=_("The attempt of the run that committed the page.")
    )
    created = models.IntegerField(_("created"))
    updated = models.IntegerField(_("updated"))
    unchanged = models.IntegerField(_("unchanged"))
    deleted = models.IntegerField(_("deleted"))
    checkpoint = models.JSONField(_("checkpoint"), decoder=Decoder, null=True)
    unchanged_revs = models.BinaryField(null=True)
    committed_at = models.DateTimeField(_("committed at"), db_default=Now())

    class Meta:
        verbose_name = _("sync page")
        verbose_name_plural = _("sync pages")
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="mastra_engine_syncpage_of"),
        ]

    def to_value(self) -> types.SyncPage:
        """Return the row as the value that the engine returns."""
        return as_value(self, types.SyncPage)
