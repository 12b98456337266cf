"""The table of stored responses of idempotent requests."""

from __future__ import annotations

from django.db import models


class IdempotencyRecord(models.Model):
    """The stored response of a request that was sent with an `Idempotency-Key`.

    The id is a hash of the key and its owner. `response` is null once it was erased.
    """

    id = models.UUIDField("ID", primary_key=True, editable=False)
    body_hash = models.UUIDField(
        "request hash",
        help_text="A hash of the request: the same key with another request is refused.",
    )
    response = models.BinaryField("stored response", null=True)
    expires_at = models.DateTimeField(
        "expires at",
        db_index=True,
        help_text="Until then, a repeated request gets the stored response.",
    )

    def __str__(self) -> str:
        return f"Idempotency record {self.pk}"
