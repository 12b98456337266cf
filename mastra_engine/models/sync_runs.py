"""Tables of the runs of declared syncs."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from mastra_engine import types
from mastra_engine.models.fields import Decoder, as_value, new_id
from mastra_engine.models.records import Entity


class SyncRun(models.Model):
    """One run of a declared sync. Whoever holds `lease_token` may write, until the lease ends."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    sync = models.TextField(db_collation="C")
    connection_id = models.TextField(db_collation="C")
    # The migration adds the constraint, with ON DELETE CASCADE in the database.
    entity = models.ForeignKey(
        Entity, on_delete=models.DO_NOTHING, db_constraint=False, related_name="sync_runs"
    )
    mode = models.TextField()
    status = models.TextField(db_default="queued")
    params = models.JSONField(decoder=Decoder)
    checkpoint = models.JSONField(decoder=Decoder, null=True)
    progress = models.JSONField(decoder=Decoder, null=True)
    pages = models.BigIntegerField(db_default=0)
    created = models.BigIntegerField(db_default=0)
    updated = models.BigIntegerField(db_default=0)
    unchanged = models.BigIntegerField(db_default=0)
    deleted = models.BigIntegerField(db_default=0)
    attempts = models.IntegerField(db_default=0)
    error = models.JSONField(decoder=Decoder, null=True)
    start_rev = models.BigIntegerField(null=True)
    lease_token = models.UUIDField(null=True, editable=False)
    lease_expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sync", "connection_id"],
                condition=models.Q(status__in=types.ACTIVE),
                name="mastra_engine_syncrun_active",
            ),
        ]
        indexes = [
            models.Index(fields=["sync", "connection_id", "id"], name="mastra_engine_syncrun_of"),
        ]

    def __str__(self) -> str:
        return f"Sync run {self.pk}"

    def to_value(self) -> types.SyncRun:
        """Return it as the engine does; fetch it with its entity."""
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


class SyncPage(models.Model):
    """What a page of a run did. `found` is what an unfinished full run came upon unchanged in it.

    A worker that takes over needs to know that; once the run is complete, nobody does.
    """

    run = models.ForeignKey(
        SyncRun,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="history",
    )
    number = models.IntegerField()
    attempt = models.IntegerField()
    created = models.IntegerField()
    updated = models.IntegerField()
    unchanged = models.IntegerField()
    deleted = models.IntegerField()
    checkpoint = models.JSONField(decoder=Decoder, null=True)
    unchanged_revs = models.BinaryField(null=True)
    committed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="mastra_engine_syncpage_of"),
        ]

    def __str__(self) -> str:
        return f"Sync page {self.pk}"

    def to_value(self) -> types.SyncPage:
        """Return it as the engine does."""
        return as_value(self, types.SyncPage)
