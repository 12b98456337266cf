"""Tables of evaluations: questions with their right answers, and the results of measurements."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from mastra_engine import types
from mastra_engine.models.fields import ArrayField, Decoder, new_id


class EvaluationCase(models.Model):
    """A question with the ids that a good search finds for it."""

    id = models.UUIDField("ID", primary_key=True, default=new_id, editable=False)
    target = models.TextField(
        db_collation="C",
        db_index=True,
        help_text="The search that should find them: vectors:INDEX, records:ENTITY or recall.",
    )
    query = models.TextField()
    expected_ids = ArrayField(
        models.TextField(), verbose_name="right answers", help_text="The ids to be found."
    )
    filter = models.JSONField(decoder=Decoder, null=True, help_text="The filter of the search.")
    owner = models.TextField(
        db_collation="C",
        db_default="",
        blank=True,
        help_text="The namespace, the connection or the resource that is searched.",
    )
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"Evaluation case {self.pk}"

    def to_value(self) -> types.Case:
        """Return the row as the value that engines evaluate; a namespace is in its target."""
        return types.Case(
            query=self.query,
            expected_ids=tuple(self.expected_ids),
            filter=self.filter,
            connection_id=self.owner if self.target.startswith("records:") else None,
            resource_id=self.owner if self.target == "recall" else None,
        )


class EvaluationResult(models.Model):
    """The metrics of a search over all cases that were saved for it."""

    id = models.UUIDField("ID", primary_key=True, default=new_id, editable=False)
    target = models.TextField(
        db_collation="C", db_index=True, help_text="The search that was measured, with its options."
    )
    case_count = models.IntegerField("cases")
    metrics = models.JSONField(
        decoder=Decoder,
        help_text="The value of each metric, and the limits of its 95 % confidence interval.",
    )
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"Evaluation result {self.pk}"
