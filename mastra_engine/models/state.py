"""The table of agent state: JSON documents by namespace and key."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from mastra_engine.models.fields import ArrayField, Decoder, new_id


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


class StateItem(models.Model):
    """A JSON document that an agent keeps under a namespace and a key.

    A deleted item keeps its row, without a value: the tombstone holds the version from which a new
    item of the same key goes on.
    """

    id = models.UUIDField("ID", primary_key=True, default=new_id, editable=False)
    # Arrays are ordered by their elements. So the namespaces that begin with some elements are one
    # range of the key's index, and no element is ever taken for the beginning of another.
    namespace = ArrayField(
        models.TextField(db_collation="C"),
        help_text="The path to the item; its first element is the owner, such as a user.",
    )
    key = models.TextField(db_collation="C", help_text="The name of the item in its namespace.")
    value = models.JSONField(
        decoder=Decoder, null=True, help_text="The document; empty if the item was deleted."
    )
    version = models.BigIntegerField(
        help_text="Grows with each write of the key, and goes on after a deletion."
    )
    fields = ArrayField(
        models.TextField(),
        null=True,
        editable=False,
        help_text="The paths that searches by text cover; null stands for every text.",
    )
    is_pending = models.BooleanField(
        editable=False, help_text="Whether the text is still to be indexed for searches."
    )
    is_indexed = models.BooleanField(
        db_default=False, editable=False, help_text="Whether a vector was stored of the item."
    )
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(
        null=True, help_text="From then on the item is not found any more."
    )
    lifetime = models.FloatField(
        null=True, editable=False, help_text="The seconds after which it expires, if not renewed."
    )

    objects = StateItemQuerySet.as_manager()

    class Meta:
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

    def __str__(self) -> str:
        return f"State item {self.pk}"
