"""The example project's settings, on the database of the tests."""

from __future__ import annotations

from typing import Any

import pytest

from example_project import settings as example

SHARED = "INSTALLED_APPS", "MIDDLEWARE", "TEMPLATES", "ROOT_URLCONF", "STATIC_URL", "MASTRA_ENGINE"


@pytest.fixture(autouse=True)
def example_settings(settings: Any, db: None) -> None:
    for name in SHARED:
        setattr(settings, name, getattr(example, name))
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"  # needs no table
