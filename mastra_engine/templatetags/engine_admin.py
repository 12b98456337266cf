"""Tags and filters of the admin's templates.

Django imports this module with the first template, which django-unfold renders while it is
imported. So the modules of the admin are imported inside the functions that need them.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django import template
from django.apps import apps
from django.contrib.admin.sites import AdminSite, all_sites
from django.http import HttpRequest
from django.template import Context
from django.template.defaultfilters import yesno
from django.utils.formats import localize
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from mastra_engine import types
from mastra_engine.models import Message

if TYPE_CHECKING:
    from mastra_engine.admin.base import Link
    from mastra_engine.admin.content import MessagePart
    from mastra_engine.admin.home import Home

APP = "mastra_engine"

register = template.Library()

#: The most characters of a document that are shown.
LONGEST = 50_000


@register.simple_tag
def engine_links(request: HttpRequest) -> list[Link]:
    """Return links to the pages of the app that the user may open and that belong to no row."""
    from mastra_engine.admin.base import EngineAdmin

    site = _site(request)
    models = filter(site.is_registered, apps.get_app_config(APP).get_models())
    admins = map(site.get_model_admin, models)
    return [
        link for admin in admins if isinstance(admin, EngineAdmin) for link in admin.links(request)
    ]


@register.simple_tag
def engine_home(request: HttpRequest) -> Home:
    """Return the content of the home page of the section."""
    from mastra_engine.admin.home import read_home

    return read_home(request, _site(request))


def _site(request: HttpRequest) -> AdminSite:
    """Return the admin site that renders a page."""
    return next(site for site in all_sites if site.name == request.current_app)


@register.simple_tag(takes_context=True)
def engine_message_parts(context: Context, message: Message | types.Message) -> list[MessagePart]:
    """Return the parts of a message for a transcript, with the names of tools in its context."""
    from mastra_engine.admin.content import message_parts

    return message_parts(message.content, message.role, context.get("tool_names") or {})


@register.simple_tag(takes_context=True)
def engine_link(context: Context, row: Any, text: Any, prefix: str = "") -> SafeString:
    """Return a prefix and a text as a link to a row's page, where the current site has it.

    A row is one of the models or one of the engine's values.
    """
    from mastra_engine.admin.addresses import admin_url

    site = context["request"].current_app
    address = admin_url(site, f"{type(row).__name__.lower()}_change", row.id)
    link = '<a href="{2}">{0}<bdi>{1}</bdi></a>' if address else "{0}<bdi>{1}</bdi>"
    return format_html(link, prefix, text, address)


@register.simple_tag
def engine_query(parameters: dict[str, Any] | None = None, **more: Any) -> str:
    """Return the query string of an address, without its question mark."""
    return urlencode({**(parameters or {}), **more})


@register.filter
def pretty(value: Any) -> str:
    """Return JSON with indentation, or text as it is, cut at LONGEST characters."""
    from mastra_engine.admin.wording import left_out

    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n{left_out(len(text) - LONGEST)}"


@register.filter
def readable(value: Any) -> SafeString:
    """Return JSON as nested lists of names and values."""
    from mastra_engine.admin import readable

    return readable.readable(value)


@register.filter
def entry(mapping: dict[str, Any], key: str) -> Any:
    """Return the value of a key that a template has in a variable, or None."""
    return mapping.get(key)


@register.filter
def brief(value: Any) -> str:
    """Return the beginning of JSON, on one line."""
    return Truncator(json.dumps(value, ensure_ascii=False)).chars(200)


@register.filter
def shown(value: Any) -> SafeString | str:
    """Return a fact as HTML; text is isolated, so that its direction does not affect the page."""
    from mastra_engine.admin.times import duration_text, time_tag
    from mastra_engine.admin.wording import number_text

    if value is None or value == "":
        return "\N{EN DASH}"
    if hasattr(value, "__html__"):
        return conditional_escape(value)
    if isinstance(value, datetime):
        return time_tag(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, bool):
        return str(yesno(value))
    if isinstance(value, int):
        return number_text(value)
    if isinstance(value, float):
        return localize(value)
    return format_html("<bdi>{}</bdi>", value)


@register.filter
def term(word: str) -> str:
    """Return a word of the engine, such as a status, in the language of the page."""
    from mastra_engine.admin import wording

    return wording.term(word)


@register.filter
def fact_state(fact: Any) -> str:
    """Return in a word whether a version of a claim holds now."""
    from mastra_engine.admin.facts import state_of

    return state_of(fact)
