"""Pages with a form that changes something through the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from mastra_engine.admin.base import EngineAdmin, Text
from mastra_engine.exceptions import EngineError


def form_page(
    admin: EngineAdmin,
    request: HttpRequest,
    form: forms.Form,
    *,
    title: Text,
    heading: Text,
    label: Text,
    act: Callable[[], Any],
    success: Text,
    back: str,
    note: Text = "",
    **context: Any,
) -> HttpResponse:
    """Show a form; on a valid POST, act, log the change of the row that `act` returns, and go on.

    Errors of the engine, such as a conflict or a row that was deleted meanwhile, stand above the
    form, which keeps the user's values. `back` is the address to go back to; the user goes on to
    the row's page.
    """
    if request.method == "POST" and form.is_valid():
        try:
            row = act()
        except EngineError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, str(success))
            admin.log_change(request, row, str(success))
            return redirect(admin.url(f"{admin.opts.model_name}_change", row.pk) or back)
    return admin.page(
        request,
        "form.html",
        title=str(title),
        heading=heading,
        form=form,
        label=label,
        back=back,
        note=note,
        **context,
    )
