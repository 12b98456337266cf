"""Idempotency records."""

from __future__ import annotations

from django.contrib import admin

from mastra_engine.admin.base import EngineAdmin
from mastra_engine.models import IdempotencyRecord


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(EngineAdmin):
    """Idempotency records without their stored responses, which may hold any user's content."""

    list_display = ("id", "expires_at")
    listed = False
    facts = ("body_hash", "expires_at")
    unread = ("response",)
