"""The same project with Celery, as docs/howto/run-on-celery.md sets it up."""

from __future__ import annotations

import os

from tests.distributed.settings import *  # noqa: F403
from tests.distributed.settings import INSTALLED_APPS as WITH_SYNCS

INSTALLED_APPS = [*WITH_SYNCS, "django_tasks_fennel"]
TASKS = {"default": {"BACKEND": "django_tasks_fennel.CeleryBackend"}}
CELERY_BROKER_URL = os.environ["BROKER_URL"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 5,
    # How often a worker looks for what dead ones held: left alone, every 100 s.
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
CELERY_BEAT_SCHEDULE = {
    "numbers": {"task": "tests.distributed.tasks.ask_for_numbers", "schedule": 1.0},
}
