"""The configuration of the Django app."""

from __future__ import annotations

from django.apps import AppConfig


class LangGraphConfig(AppConfig):
    name = "mastra_engine.contrib.langgraph"
    label = "mastra_langgraph"
    verbose_name = "LangGraph"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from mastra_engine.contrib.langgraph.erasure import delete_checkpoints
        from mastra_engine.signals import resource_erased

        resource_erased.connect(delete_checkpoints)
