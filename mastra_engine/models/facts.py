"""Tables of facts: versions of claims, and the messages and records that they rest on."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mastra_engine.models.fields import ArrayField, EngineModel, new_id
from mastra_engine.models.memory import Message, Thread
from mastra_engine.models.records import Record


class Fact(EngineModel):
    """A version of a claim about a resource, true for one interval.

    Versions are not overwritten. Only their end may become an earlier one; `ends` and
    `ends_known_at` keep every end with the time at which it became known. A version is deleted with
    its last source.
    """

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    resource_id = models.TextField(
        _("resource ID"), db_collation="C", help_text=_("The owner of the fact, such as a user.")
    )
    subject = models.TextField(_("subject"))
    predicate = models.TextField(_("predicate"))
    object = models.TextField(_("object"))
    # Keys are hashes: texts of this length would not fit an entry of an index. Those of different
    # resources differ.
    subject_key = models.UUIDField(editable=False)
    predicate_key = models.UUIDField(editable=False)
    object_key = models.UUIDField(editable=False)
    aliases = ArrayField(
        models.TextField(), verbose_name=_("aliases"), help_text=_("Other names of the subject.")
    )
    alias_keys = ArrayField(models.UUIDField(), null=True, editable=False)
    valid_from = models.DateTimeField(
        _("valid from"), help_text=_("From then on the fact is true.")
    )
    valid_to = models.DateTimeField(
        _("valid to"), null=True, help_text=_("From then on it is not true any more.")
    )
    ends = ArrayField(models.DateTimeField(), editable=False)
    ends_known_at = ArrayField(models.DateTimeField(), editable=False)
    created_at = models.DateTimeField(
        _("remembered at"), db_default=Now(), help_text=_("From then on the fact is known.")
    )
    superseded_at = models.DateTimeField(
        _("superseded at"),
        null=True,
        help_text=_("When another version of the claim was remembered."),
    )
    retracted_at = models.DateTimeField(_("retracted at"), null=True)
    reason = models.TextField(
        _("reason"), db_default="", help_text=_("Why the fact was retracted.")
    )
    confidence = models.FloatField(_("confidence"), help_text=_("From 0 to 1."))
    pinned = models.BooleanField(
        _("pinned"), help_text=_("Pinned facts come first in context windows.")
    )
    many = models.BooleanField(
        _("many"),
        help_text=_("Whether the subject may have several objects of the predicate at once."),
    )
    source_count = models.IntegerField(
        _("sources"), db_default=0, help_text=_("A fact is deleted with the last of them.")
    )
    is_indexed = models.BooleanField(
        _("is indexed"),
        db_default=False,
        editable=False,
        help_text=_("Whether searches find the fact."),
    )

    class Meta:
        verbose_name = _("fact")
        verbose_name_plural = _("facts")
        constraints = [
            models.UniqueConstraint(
                fields=["subject_key", "predicate_key", "object_key"],
                condition=models.Q(superseded_at=None, retracted_at=None),
                name="mastra_engine_fact_current",
            ),
        ]
        indexes = [
            models.Index(
                fields=["subject_key", "predicate_key", "object_key", "created_at"],
                name="mastra_engine_fact_claim",
            ),
            models.Index(fields=["resource_id", "created_at", "id"], name="mastra_engine_fact_age"),
            models.Index(
                fields=["resource_id"],
                condition=models.Q(is_indexed=False),
                name="mastra_engine_fact_pending",
            ),
        ]
        # The migration adds an index on the end of the validity, infinite for a null, which
        # Django cannot express, and a GIN index on `alias_keys`: Django's GinIndex would force
        # every project to put django.contrib.postgres into INSTALLED_APPS.


class FactSource(EngineModel):
    """A message or a record that a fact rests on."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    # The migration adds the constraints, with ON DELETE CASCADE in the database. A trigger deletes
    # the fact with its last source.
    fact = models.ForeignKey(
        Fact,
        verbose_name=_("fact"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="sources",
    )
    message = models.ForeignKey(
        Message,
        verbose_name=_("message"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )
    record = models.ForeignKey(
        Record,
        verbose_name=_("record"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )
    quote = models.TextField(_("quote"), help_text=_("The text that says so."))

    class Meta:
        verbose_name = _("fact source")
        verbose_name_plural = _("fact sources")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(message=None, record__isnull=False)
                | models.Q(message__isnull=False, record=None),
                name="mastra_engine_factsource_kind",
            ),
        ]
        indexes = [
            models.Index(
                fields=["message"],
                condition=models.Q(message__isnull=False),
                name="mastra_engine_source_message",
            ),
            models.Index(
                fields=["record"],
                condition=models.Q(record__isnull=False),
                name="mastra_engine_source_record",
            ),
        ]


class FactReading(EngineModel):
    """The position up to which the messages of a thread were read for facts.

    A worker that reads the messages after it sets `claimed_until`, so that other workers do not
    do the same work.
    """

    # The migration adds the constraint, with ON DELETE CASCADE in the database.
    thread = models.OneToOneField(
        Thread,
        verbose_name=_("thread"),
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="fact_reading",
    )
    position = models.BigIntegerField(
        _("position"), db_default=0, help_text=_("The messages up to this position were read.")
    )
    claimed_until = models.DateTimeField(
        _("claimed until"),
        null=True,
        editable=False,
        help_text=_("Until then, a worker is reading further messages."),
    )

    class Meta:
        verbose_name = _("fact reading")
        verbose_name_plural = _("fact readings")

    def __str__(self) -> str:
        return f"Reading of thread {self.pk}"
