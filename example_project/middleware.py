"""What is true of every response."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'"


class ContentSecurityPolicy(MiddlewareMixin):
    """Scripts, styles and all else come from here, and none of it is inline.

    The API's own pages, of REST framework, Swagger UI and Redoc, have it inline and go without.
    Django 6 has a middleware of its own for this; Django 5.2 has not.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if not request.path.startswith("/api/"):
            response.headers["Content-Security-Policy"] = POLICY
        return response
