"""The MCP server and the REST API beside it, for users with tokens."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.mcp"]
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "tests.mcp.urls"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.SessionAuthentication",
        "rest_framework.authentication.TokenAuthentication",
    ],
}
MASTRA_ENGINE = {
    "default": {
        "BACKEND": "mastra_engine.PostgresEngine",
        "EMBEDDER": "mastra_engine.testing.contract.recall.BagOfWords",
    }
}
