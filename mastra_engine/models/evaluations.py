"""Tables of evaluations: questions with their right answers, and the results of measurements."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mastra_engine import types
from mastra_engine.models.fields import ArrayField, Decoder, EngineModel, new_id


class EvaluationCase(EngineModel):
    """A question with the ids that a good search finds for it."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    target = models.TextField(
        _("target"),
        db_collation="C",
        db_index=True,
        help_text=_("The search that should find them: vectors:INDEX, records:ENTITY or recall."),
    )
    query = models.TextField(_("query"))
    expected_ids = ArrayField(
        models.TextField(), verbose_name=_("right answers"), help_text=_("The ids to be found.")
    )
    filter = models.JSONField(
        _("filter"), decoder=Decoder, null=True, help_text=_("The filter of the search.")
    )
    owner = models.TextField(
        _("owner"),
        db_collation="C",
        db_default="",
        blank=True,
        help_text=_("The namespace, the connection or the resource that is searched."),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("evaluation case")
        verbose_name_plural = _("evaluation cases")

    def to_value(self) -> types.Case:
        """Return the row as the value that engines evaluate; a namespace is in its target."""
        return types.Case(
            query=self.query,
            expected_ids=tuple(self.expected_ids),
            filter=self.filter,
            connection_id=self.owner if self.target.startswith("records:") else None,
            resource_id=self.owner if self.target == "recall" else None,
        )


class EvaluationResult(EngineModel):
    """The metrics of a search over all cases that were saved for it."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    target = models.TextField(
        _("target"),
        db_collation="C",
        db_index=True,
        help_text=_("The search that was measured, with its options."),
    )
    case_count = models.IntegerField(_("cases"))
    metrics = models.JSONField(
        _("metrics"),
        decoder=Decoder,
        help_text=_(
            "The value of each metric, and the limits of its confidence interval of 95 percent."
        ),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())

    class Meta:
        verbose_name = _("evaluation result")
        verbose_name_plural = _("evaluation results")
