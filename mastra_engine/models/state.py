"""The table of agent state: JSON documents by namespace and key."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mastra_engine.models.fields import ArrayField, Decoder, EngineModel, new_id


class StateItemQuerySet(models.QuerySet["StateItem"]):
    def live(self) -> StateItemQuerySet:
        """Return the items that were neither deleted nor have expired."""
        unexpired = models.Q(expires_at=None) | models.Q(expires_at__gt=Now())
        return self.filter(unexpired, value__isnull=False)

    def under(self, *prefix: str) -> StateItemQuerySet:
        """Return the items in the namespaces that begin with some elements.

        No text lies between an element and the same with U+0001 after it, the lowest character.
        """
        if not prefix:
            return self
        after = [*prefix[:-1], prefix[-1] + "\x01"]
        return self.filter(namespace__gte=list(prefix), namespace__lt=after)


class StateItem(EngineModel):
    """A JSON document that an agent keeps under a namespace and a key.

    A deleted item keeps its row, without a value: the tombstone holds the version from which a new
    item of the same key goes on.
    """

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    # Arrays are ordered by their elements. So the namespaces that begin with some elements are one
    # range of the key's index, and no element is ever taken for the beginning of another.
    namespace = ArrayField(
        models.TextField(db_collation="C"),
        verbose_name=_("namespace"),
        help_text=_("The path to the item; its first element is the owner, such as a user."),
    )
    key = models.TextField(
        _("key"), db_collation="C", help_text=_("The name of the item in its namespace.")
    )
    value = models.JSONField(
        _("value"),
        decoder=Decoder,
        null=True,
        help_text=_("The document; empty if the item was deleted."),
    )
    version = models.BigIntegerField(
        _("version"), help_text=_("Grows with each write of the key, and goes on after a deletion.")
    )
    fields = ArrayField(
        models.TextField(),
        null=True,
        editable=False,
        help_text=_("The paths that searches by text cover; null stands for every text."),
    )
    is_pending = models.BooleanField(
        _("is pending"),
        editable=False,
        help_text=_("Whether the text is still to be indexed for searches."),
    )
    is_indexed = models.BooleanField(
        _("is indexed"),
        db_default=False,
        editable=False,
        help_text=_("Whether a vector was stored of the item."),
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())
    expires_at = models.DateTimeField(
        _("expires at"), null=True, help_text=_("From then on the item is not found any more.")
    )
    lifetime = models.FloatField(
        null=True,
        editable=False,
        help_text=_("The seconds after which it expires, if not renewed."),
    )

    objects = StateItemQuerySet.as_manager()

    class Meta:
        verbose_name = _("state item")
        verbose_name_plural = _("state items")
        constraints = [
            models.UniqueConstraint(
                fields=["namespace", "key"], name="mastra_engine_stateitem_key"
            ),
        ]
        indexes = [
            models.Index(
                fields=["namespace"],
                condition=models.Q(is_pending=True),
                name="mastra_engine_state_pending",
            ),
            models.Index(
                fields=["expires_at"],
                condition=models.Q(expires_at__isnull=False),
                name="mastra_engine_state_expiry",
            ),
        ]
