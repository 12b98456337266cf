"""Addresses of pages that belong to another model."""

from __future__ import annotations

from django.db.models import Model
from django.http import HttpRequest

from mastra_engine.admin.base import EngineAdmin


def openable(admin: EngineAdmin, request: HttpRequest, model: type[Model], name: str) -> str:
    """Return the address of a view of a model that the user may open, otherwise empty text."""
    if not admin.admin_site.is_registered(model):
        return ""
    other = admin.admin_site.get_model_admin(model)
    may_open = isinstance(other, EngineAdmin) and other.may_open(request, name)
    return admin.url(name) if may_open else ""
