"""URLs of the server that the conformance suite tests."""

from __future__ import annotations

from tests.frameworks.mcp.suite import register
from tests.mcp.urls import urlpatterns

__all__ = ["urlpatterns"]

register()
