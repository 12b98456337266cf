"""The table of index progress: how far each vector index has read each entity's changes."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from mastra_engine.models.records import Entity
from mastra_engine.models.vectors import VectorIndex


class IndexProgress(models.Model):
    """The revision up to which a vector index holds an entity's changes.

    A worker that indexes the changes after it sets `claimed_until`, so that other workers do not
    do the same work.
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
    rev = models.BigIntegerField(
        "revision",
        db_default=0,
        help_text="The index holds the changes of the entity up to this revision.",
    )
    complete = models.BooleanField(
        db_default=False, help_text="Whether the index has read all records of the entity once."
    )
    claimed_until = models.DateTimeField(
        null=True, editable=False, help_text="Until then, a worker is indexing further changes."
    )
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "index progress"
        verbose_name_plural = "index progress"
        constraints = [
            models.UniqueConstraint(
                fields=["entity", "vector_index"], name="mastra_engine_indexprogress_of"
            ),
        ]

    def __str__(self) -> str:
        return f"Index progress {self.pk}"
