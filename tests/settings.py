"""Settings of the test suite."""

from __future__ import annotations

from mastra_engine.conf import database_from_url
from tests.server import database_url

SECRET_KEY = "not a secret"
USE_TZ = True
DATABASES = {"default": database_from_url(database_url())}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "mastra_engine",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
