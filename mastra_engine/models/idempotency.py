"""The table of what came of calls under an idempotency key."""

from __future__ import annotations

from django.db import models


class IdempotencyRecord(models.Model):
    """What came of such a call, until its time is over; null once it was erased.

    The id is a hash of the key and of whose it is.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    body_hash = models.UUIDField()
    response = models.BinaryField(null=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"Idempotency record {self.pk}"
