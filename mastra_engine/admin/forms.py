"""What the forms of the admin's pages have in common."""

from __future__ import annotations

import json
from typing import Any

from django import forms


class PageForm(forms.Form):
    """A form whose labels end without a colon: each stands above its field."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""


class FilterField(forms.CharField):
    """A filter in the engine's language, written as JSON; None where nothing is written."""

    widget = forms.Textarea(attrs={"rows": 2, "spellcheck": "false"})

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        try:
            return json.loads(text) if text else None
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise forms.ValidationError(f"No JSON at {where}: {error.msg}") from error
        except RecursionError:
            raise forms.ValidationError("It nests too deeply") from None
        except ValueError:  # Python reads numbers of some thousand digits only
            raise forms.ValidationError("It holds a number that is too long") from None
