"""Numbers, and the engine's own words, in the language of a page."""

from __future__ import annotations

from django.utils import formats
from django.utils.translation import gettext_lazy as _

#: The words for states, roles and changes that the engine stores or returns.
TERMS = {
    "idle": _("idle"),
    "queued": _("queued"),
    "running": _("running"),
    "paused": _("paused"),
    "succeeded": _("succeeded"),
    "failed": _("failed"),
    "cancelled": _("cancelled"),
    "missing": _("missing"),
    "building": _("building"),
    "ready": _("ready"),
    "invalid": _("invalid"),
    "added": _("added"),
    "updated": _("updated"),
    "deleted": _("deleted"),
    "user": _("user"),
    "assistant": _("assistant"),
    "tool": _("tool"),
    "system": _("system"),
}


def term(word: str) -> str:
    """Return a word of the engine; other words, such as a role of a project's own, stay."""
    return str(TERMS.get(word, word))


def number_text(number: int) -> str:
    """Return a whole number with its digits in groups, as the language writes them."""
    return formats.number_format(number, force_grouping=True)


def left_out(characters: int) -> str:
    """Say how many characters of a long text a page leaves out."""
    return str(_("… %(number)s more characters")) % {"number": number_text(characters)}
