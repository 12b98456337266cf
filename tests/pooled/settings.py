"""Settings of the test suite, behind PgBouncer in transaction mode."""

from __future__ import annotations

from mastra_engine.conf import database_from_url
from tests.pooled.bouncer import pooled
from tests.server import server_url
from tests.settings import *  # noqa: F403

DATABASES = {"default": database_from_url(pooled(server_url()))}
