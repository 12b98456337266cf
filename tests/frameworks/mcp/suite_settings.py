"""The settings of the server that the conformance suite tests: it signs in as one user."""

from __future__ import annotations

from tests.mcp.settings import *  # noqa: F403

ROOT_URLCONF = "tests.frameworks.mcp.suite_urls"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["tests.frameworks.mcp.stand_in.StandIn"],
}
