"""Settings of the example project, which `manage.py` of this repository uses."""

from __future__ import annotations

import os
from pathlib import Path

from mastra_engine.conf import database

BASE_DIR = Path(__file__).resolve().parent.parent

# For the development server on this machine only.
SECRET_KEY = os.environ.get("SECRET_KEY", "an example, never deployed")
DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "mastra_engine",
    "example_project",
    "example_project.desk",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "example_project.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",  # the admin in the language of the browser
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
ROOT_URLCONF = "example_project.urls"
STATIC_URL = "static/"
LOGIN_URL, LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL = "login", "start", "login"
TIME_ZONE = "UTC"
USE_TZ = True

# It reads DB_URL from the environment or from .env, where `manage.py engine_add` writes it.
DATABASES = {"default": database(BASE_DIR)}

# "pydantic_ai" lets an agent of that framework answer at the desk.
DESK_FRAMEWORK = os.environ.get("DESK_FRAMEWORK", "")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.SessionAuthentication",
        "rest_framework.authentication.TokenAuthentication",
    ],
}

# A small model that needs neither network nor key; any object with embed_documents() fits.
MASTRA_ENGINE = {
    "default": {
        "BACKEND": "mastra_engine.PostgresEngine",
        "EMBEDDER": "mastra_engine.embedders.WordLlamaEmbedder",
        # The desk remembers the facts that users tell it; see docs/reference/facts.md.
        "FACT_EXTRACTOR": "example_project.desk.learning.DeskExtractor",
        "SYNC_LEASE": 10.0,  # seconds until the sync of a killed demo can be resumed
    },
}
MASTRA_ENGINE_ADMIN = {"RESOURCE_NAMES": "example_project.names.names_of_users"}
