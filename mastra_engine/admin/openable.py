"""Addresses of pages that belong to another model."""

from __future__ import annotations

from django.db.models import Model
from django.http import HttpRequest

from mastra_engine.admin.base import EngineAdmin


def may_open(admin: EngineAdmin, request: HttpRequest, model: type[Model], name: str) -> bool:
    """Say whether the site of an admin has a view of a model that the user may open."""
    if not admin.admin_site.is_registered(model):
        return False
    other = admin.admin_site.get_model_admin(model)
    return isinstance(other, EngineAdmin) and other.may_open(request, name)


def openable(admin: EngineAdmin, request: HttpRequest, model: type[Model], name: str) -> str:
    """Return the address of a view of a model that the user may open, otherwise empty text."""
    return admin.url(name) if may_open(admin, request, model, name) else ""
