"""Settings of the benchmarks: the engine alone, on the database in `DB_URL`."""

from __future__ import annotations

import os

from mastra_engine.conf import database_from_url

SECRET_KEY = "not a secret"
USE_TZ = True
DATABASES = {"default": database_from_url(os.environ["DB_URL"])}
INSTALLED_APPS = ["mastra_engine"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
