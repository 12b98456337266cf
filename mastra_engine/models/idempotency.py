"""The table of stored responses of idempotent requests."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from mastra_engine.models.fields import EngineModel


class IdempotencyRecord(EngineModel):
    """The stored response of a request that was sent with an `Idempotency-Key`.

    The id is a hash of the key and its owner. `response` is null once it was erased.
    """

    id = models.UUIDField(_("ID"), primary_key=True, editable=False)
    body_hash = models.UUIDField(
        _("request hash"),
        help_text=_("A hash of the request: the same key with another request is refused."),
    )
    response = models.BinaryField(_("stored response"), null=True)
    expires_at = models.DateTimeField(
        _("expires at"),
        db_index=True,
        help_text=_("Until then, a repeated request gets the stored response."),
    )

    class Meta:
        verbose_name = _("idempotency record")
        verbose_name_plural = _("idempotency records")
