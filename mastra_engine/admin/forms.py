"""Forms and fields that several pages of the admin share."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


class PageForm(forms.Form):
    """A form with labels that have no colon, because they are placed above the fields."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""


def owner_field() -> forms.CharField:
    """Return the field of the owner of the data that a search reads."""
    return forms.CharField(
        required=False,
        label=gettext_lazy("Owner"),
        help_text=gettext_lazy(
            "The namespace of vectors, empty for all; the connection of records; "
            "the resource of messages"
        ),
        strip=False,
    )


def min_score_field() -> forms.FloatField:
    """Return the field of the least similarity of a search."""
    return forms.FloatField(
        required=False,
        label=gettext_lazy("Least similarity"),
        help_text=gettext_lazy("Empty for any similarity"),
    )


def rerank_field() -> forms.BooleanField:
    """Return the field that has the engine's reranker sort the results."""
    return forms.BooleanField(
        required=False,
        label=gettext_lazy("Rerank"),
        help_text=gettext_lazy("by the engine's reranker"),
    )


class FilterField(forms.CharField):
    """A filter of the engine as JSON; an empty field is None."""

    widget = forms.Textarea(attrs={"rows": 2, "spellcheck": "false"})

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        try:
            return json.loads(text) if text else None
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise forms.ValidationError(f"Invalid JSON at {where}: {error.msg}") from error
        except RecursionError:
            raise forms.ValidationError("The JSON is nested too deeply") from None
        except ValueError:  # Python limits the digits of an integer
            raise forms.ValidationError("The JSON has a number with too many digits") from None


class JSONObjectField(FilterField):
    """A JSON object; an empty field is an empty one."""

    widget = forms.Textarea(attrs={"rows": 12, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        data = super().to_python(value)
        if data is None:
            return {}
        if not isinstance(data, dict):
            raise forms.ValidationError(_("It must be a JSON object"))
        return data
