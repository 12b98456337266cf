"""A strict Content-Security-Policy, as a careful project sends it."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Answer = Callable[[HttpRequest], HttpResponse]


def content_security_policy(answer: Answer) -> Answer:
    """Middleware that sends the policy; Django has its own from 6.0 on."""

    def answered(request: HttpRequest) -> HttpResponse:
        response = answer(request)
        response["Content-Security-Policy"] = settings.CONTENT_SECURITY_POLICY
        return response

    return answered
