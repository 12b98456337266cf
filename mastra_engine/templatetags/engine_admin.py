"""Tags and filters of the admin's templates."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django import template
from django.apps import apps
from django.contrib.admin import site
from django.http import HttpRequest
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mastra_engine.admin.base import APP, EngineAdmin, Link

register = template.Library()

#: So many characters of a document are shown.
LONGEST = 50_000


@register.simple_tag
def engine_links(request: HttpRequest) -> list[Link]:
    """Return the pages of the app that belong to no row, those that the user may open."""
    admins = [site.get_model_admin(model) for model in apps.get_app_config(APP).get_models()]
    return [each for one in admins if isinstance(one, EngineAdmin) for each in one.links(request)]


@register.filter
def pretty(value: Any) -> str:
    """Return JSON over several lines, text as it is; cut where it is very long."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… {len(text) - LONGEST:,} more"


@register.filter
def shown(value: Any) -> SafeString | str:
    """Return a fact as people read it; text keeps its direction to itself."""
    if value is None or value == "":
        return "\N{EN DASH}"
    if isinstance(value, datetime):
        local = timezone.localtime(value)
        return format_html(
            '<time datetime="{}">{}</time>',
            local.isoformat(),
            formats.date_format(local, "DATETIME_FORMAT"),
        )
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return format_html("<bdi>{}</bdi>", value)
