"""Middleware that sets the Content-Security-Policy header."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'"


class ContentSecurityPolicy(MiddlewareMixin):
    """Allow scripts, styles and other resources from this site only, and none that are inline.

    The pages below /api/, of REST framework, Swagger UI and Redoc, need inline scripts and get no
    policy. Django 6 brings such a middleware; Django 5.2 does not.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if not request.path.startswith("/api/"):
            response.headers["Content-Security-Policy"] = POLICY
        return response
