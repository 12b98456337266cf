"""Idempotency records."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from mastra_engine.admin.base import EngineAdmin
from mastra_engine.models import IdempotencyRecord


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(EngineAdmin):
    """Idempotency records without their stored responses, which may hold any user's content."""

    list_display = ("id", "expires_at")
    listed = False
    facts = ("body_hash", "expires_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[IdempotencyRecord]:
        return super().get_queryset(request).defer("response")
