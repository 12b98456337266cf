"""The table of how far vector indexes have read the change feeds of entities."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from mastra_engine.models.records import Entity
from mastra_engine.models.vectors import VectorIndex


class IndexProgress(models.Model):
    """An index holds all changes of an entity up to `rev`.

    Whoever works on those after it says so by `claimed_until`, so that others spare themselves
    the work.
    """

    # The migration adds the constraints, with ON DELETE CASCADE in the database.
    entity = models.ForeignKey(
        Entity,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="index_progress",
    )
    vector_index = models.ForeignKey(
        VectorIndex, on_delete=models.DO_NOTHING, db_constraint=False, related_name="index_progress"
    )
    rev = models.BigIntegerField(db_default=0)
    complete = models.BooleanField(db_default=False)
    claimed_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "index progress"
        constraints = [
            models.UniqueConstraint(
                fields=["entity", "vector_index"], name="mastra_engine_bookmark_of"
            ),
        ]

    def __str__(self) -> str:
        return f"Index progress {self.pk}"
