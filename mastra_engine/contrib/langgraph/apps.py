"""The configuration of the Django app."""

from __future__ import annotations

from django.apps import AppConfig


class LangGraphConfig(AppConfig):
    name = "mastra_engine.contrib.langgraph"
    label = "mastra_langgraph"
    verbose_name = "LangGraph"
    default_auto_field = "django.db.models.BigAutoField"
