"""The engine's admin, with the way back to the desk."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from mastra_engine.admin.base import Link
from mastra_engine.admin.memory import ThreadAdmin
from mastra_engine.models import Thread

admin.site.unregister(Thread)


@admin.register(Thread)
class ConversationAdmin(ThreadAdmin):
    """Threads; those of the user who looks at them are conversations at the desk."""

    def tools(self, request: HttpRequest, row: Thread) -> list[Link]:
        links = super().tools(request, row)
        if row.resource_id == str(request.user.pk):
            links.append(Link("At the desk", reverse("conversation", args=[row.pk])))
        return links
