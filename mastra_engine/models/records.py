"""Tables of entities and records."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from mastra_engine import types
from mastra_engine.models.fields import Decoder, as_value, new_id


class Entity(models.Model):
    """A kind of thing that a connection has. `rev` counts the changes to its records."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    connection_id = models.TextField(db_collation="C")
    name = models.TextField(db_collation="C")
    last_sync_id = models.TextField(null=True)  # noqa: DJ001 - null is "never synced"
    rev = models.BigIntegerField(db_default=0)
    purged_rev = models.BigIntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "entities"
        constraints = [
            models.UniqueConstraint(
                fields=["connection_id", "name"], name="mastra_engine_entity_name"
            ),
        ]

    def __str__(self) -> str:
        return f"Entity {self.pk}"

    def to_value(self) -> types.Entity:
        """Return it as the engine does."""
        return as_value(self, types.Entity)


class RecordQuerySet(models.QuerySet["Record"]):
    def live(self) -> RecordQuerySet:
        """Leave out tombstones."""
        return self.filter(deleted_at=None)


class Record(models.Model):
    """One thing of an entity. A deleted one stays as a tombstone, for the change feed."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # The migration adds the constraint, with ON DELETE CASCADE in the database: Django's own
    # cascade would load every record of an entity to delete it.
    entity = models.ForeignKey(
        Entity,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="records",
    )
    external_id = models.TextField(db_collation="C")
    data = models.JSONField(decoder=Decoder)
    content_hash = models.UUIDField(editable=False)
    rev = models.BigIntegerField(editable=False)
    created_rev = models.BigIntegerField(editable=False)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)

    objects = RecordQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["entity", "external_id"], name="mastra_engine_record_external_id"
            ),
            # The condition always holds. It keeps the planner from looking up records by entity
            # through this index, which it does while its statistics know little of the entity.
            models.UniqueConstraint(
                fields=["entity", "rev"],
                condition=models.Q(rev__gte=0),
                name="mastra_engine_record_rev",
            ),
        ]
        # The migration adds a GIN index on `data`. Django's GinIndex would make every project put
        # django.contrib.postgres into INSTALLED_APPS.

    def __str__(self) -> str:
        return f"Record {self.pk}"

    def to_value(self, entity_type: str) -> types.Record:
        """Return it as the engine does."""
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
