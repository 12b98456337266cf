"""PgBouncer before the PostgreSQL of a test run."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

PATIENCE = 60  # seconds
SERVERS = 4
#: They take turns: whoever relies on what it did to a session is found out by the next
#: transaction, even if nobody else is there.
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
pool_mode = transaction
min_pool_size = {servers}
default_pool_size = {servers}
server_round_robin = 1
auth_type = any
listen_addr =
unix_socket_dir = {home}
"""


def pooled(url: str) -> str:
    """Return where PgBouncer answers for the server of `url`, which is reached by a socket."""
    server = {"port": "5432", **conninfo_to_dict(url)}
    home = Path(tempfile.mkdtemp(prefix="mastra-pooled-"))
    configuration = home / "pgbouncer.ini"
    configuration.write_text(CONFIGURATION.format(home=home, servers=SERVERS, **server))
    # It refuses to be root, and only the server's owner may enter the directory of its socket.
    owner = Path(server["host"]).owner()
    shutil.chown(home, owner)
    command = ["pgbouncer", "--quiet", *(["--user", owner] if os.getuid() == 0 else [])]
    process = subprocess.Popen([*command, str(configuration)])
    atexit.register(shutil.rmtree, home)
    atexit.register(process.wait, PATIENCE)
    atexit.register(process.terminate)
    return wait_for(make_conninfo(url, host=str(home), port="6432"))


def wait_for(url: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return url
