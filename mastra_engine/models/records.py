"""Tables of entities and records."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mastra_engine import types
from mastra_engine.models.fields import Decoder, EngineModel, as_value, new_id


class Entity(EngineModel):
    """A collection of records of one kind, such as the contacts of a connection."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    connection_id = models.TextField(
        _("connection ID"),
        db_collation="C",
        help_text=_("The connection that the records come from, such as a customer's account."),
    )
    name = models.TextField(_("name"), db_collation="C")
    last_sync_id = models.TextField(  # noqa: DJ001 - null means "never synced"
        _("last sync ID"), null=True, help_text=_("The cursor that the last sync_records() stored.")
    )
    rev = models.BigIntegerField(
        _("revision"),
        db_default=0,
        help_text=_("Numbers the changes to the records of the entity."),
    )
    purged_rev = models.BigIntegerField(
        _("purged revision"),
        db_default=0,
        help_text=_(
            "Tombstones up to this revision were deleted: readers of the change feed that "
            "stopped before it start over."
        ),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    class Meta:
        verbose_name = _("entity")
        verbose_name_plural = _("entities")
        constraints = [
            models.UniqueConstraint(
                fields=["connection_id", "name"], name="mastra_engine_entity_name"
            ),
        ]
        indexes = [
            models.Index(fields=["created_at", "id"], name="mastra_engine_entity_age"),
        ]

    def to_value(self) -> types.Entity:
        """Return the row as the value that the engine returns."""
        return as_value(self, types.Entity)


class RecordQuerySet(models.QuerySet["Record"]):
    def live(self) -> RecordQuerySet:
        """Leave out tombstones."""
        return self.filter(deleted_at=None)


class Record(EngineModel):
    """A record of an entity. A deleted record stays as a tombstone that the change feed reports."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    # The migration adds the constraint, with ON DELETE CASCADE in the database: Django's own
    # cascade would load every record of an entity to delete it.
    entity = models.ForeignKey(
        Entity,
        verbose_name=_("entity"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="records",
    )
    external_id = models.TextField(
        _("external ID"), db_collation="C", help_text=_("The ID of the record at its connection.")
    )
    data = models.JSONField(_("data"), decoder=Decoder)
    content_hash = models.UUIDField(editable=False)
    rev = models.BigIntegerField(
        _("revision"),
        editable=False,
        help_text=_("The entity's revision at the record's last change."),
    )
    created_rev = models.BigIntegerField(
        _("created revision"),
        editable=False,
        help_text=_("The entity's revision when the record was created."),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())
    deleted_at = models.DateTimeField(
        _("deleted at"),
        null=True,
        help_text=_("Set on a tombstone: a deleted record that the change feed reports."),
    )

    objects = RecordQuerySet.as_manager()

    class Meta:
        verbose_name = _("record")
        verbose_name_plural = _("records")
        constraints = [
            models.UniqueConstraint(
                fields=["entity", "external_id"], name="mastra_engine_record_external_id"
            ),
            # The condition always holds. It keeps the planner from looking up records by entity
            # through this index, which it would do while its statistics lack the entity's rows.
            models.UniqueConstraint(
                fields=["entity", "rev"],
                condition=models.Q(rev__gte=0),
                name="mastra_engine_record_rev",
            ),
        ]
        # The migration adds a GIN index on `data` in SQL: Django's GinIndex would force every
        # project to put django.contrib.postgres into INSTALLED_APPS.

    def to_value(self, entity_type: str) -> types.Record:
        """Return the row as the value that the engine returns."""
        return types.Record(
            id=self.id,
            entity_id=self.entity_id,
            entity_type=entity_type,
            external_id=self.external_id,
            data=self.data,
            rev=self.rev,
            created_at=self.created_at,
            updated_at=self.updated_at,
            deleted_at=self.deleted_at,
        )
