"""The admin of what was done once."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from mastra_engine.admin.base import EngineAdmin
from mastra_engine.models import IdempotencyRecord


@admin.register(IdempotencyRecord)
class AnswerAdmin(EngineAdmin):
    """Until when answers are kept; what they say is not shown, for it may be about anybody."""

    list_display = ("id", "expires_at")
    listed = False
    facts = ("body_hash", "expires_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[IdempotencyRecord]:
        return super().get_queryset(request).defer("response")
