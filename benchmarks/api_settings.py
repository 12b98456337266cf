"""Settings of the servers that `python -m benchmarks api` and `mcp` measure."""

from __future__ import annotations

from benchmarks.settings import *  # noqa: F403
from benchmarks.settings import INSTALLED_APPS as ENGINE

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    *ENGINE,
]
ALLOWED_HOSTS = ["127.0.0.1"]
MASTRA_ENGINE = {
    "default": {
        "BACKEND": "mastra_engine.PostgresEngine",
        "EMBEDDER": "mastra_engine.embedders.WordLlamaEmbedder",
    }
}
ROOT_URLCONF = "benchmarks.api_site"
# Authentication is free in both views.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "UNAUTHENTICATED_USER": "benchmarks.api_site.somebody",
}
