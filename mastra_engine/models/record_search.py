"""The table of index progress: how far each vector index has read each entity's changes."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mastra_engine.models.fields import EngineModel
from mastra_engine.models.records import Entity
from mastra_engine.models.vectors import VectorIndex


class IndexProgress(EngineModel):
    """The revision up to which a vector index holds an entity's changes.

    A worker that indexes the changes after it sets `claimed_until`, so that other workers do not
    do the same work.
    """

    # The migration adds the constraints, with ON DELETE CASCADE in the database.
    entity = models.ForeignKey(
        Entity,
        verbose_name=_("entity"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="index_progress",
    )
    vector_index = models.ForeignKey(
        VectorIndex,
        verbose_name=_("vector index"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="index_progress",
    )
    rev = models.BigIntegerField(
        _("revision"),
        db_default=0,
        help_text=_("The index holds the changes of the entity up to this revision."),
    )
    complete = models.BooleanField(
        _("complete"),
        db_default=False,
        help_text=_("Whether the index has read all records of the entity once."),
    )
    claimed_until = models.DateTimeField(
        _("claimed until"),
        null=True,
        editable=False,
        help_text=_("Until then, a worker is indexing further changes."),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    class Meta:
        verbose_name = _("index progress")
        verbose_name_plural = _("index progress")
        constraints = [
            models.UniqueConstraint(
                fields=["entity", "vector_index"], name="mastra_engine_indexprogress_of"
            ),
        ]
