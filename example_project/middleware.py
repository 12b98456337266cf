"""What is true of every response."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'"


class ContentSecurityPolicy(MiddlewareMixin):
    """Scripts, styles and all else come from here, and none of it is inline.

    Django 6 has a middleware of its own for this; Django 5.2 has not.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        response.headers["Content-Security-Policy"] = POLICY
        return response
