"""The same project with a queue in its own database."""

from __future__ import annotations

from tests.distributed.settings import *  # noqa: F403
from tests.distributed.settings import INSTALLED_APPS as WITH_SYNCS

INSTALLED_APPS = [*WITH_SYNCS, "django_tasks_db"]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
