"""Settings of a project in the directory MASTRA_PROJECT, with `.env` there or DATABASE_URL."""

from __future__ import annotations

import os
from pathlib import Path

from mastra_engine.conf import database, database_from_url

BASE_DIR = Path(os.environ["MASTRA_PROJECT"])
DEBUG = os.environ.get("DEBUG", "1") == "1"
SECRET_KEY = "not a secret"
USE_TZ = True
INSTALLED_APPS = ["mastra_engine"]
if "WITHOUT_AUTH" not in os.environ:
    INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", *INSTALLED_APPS]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

url = os.environ.get("DATABASE_URL")
DATABASES = {"default": database_from_url(url) if url else database(BASE_DIR)}
