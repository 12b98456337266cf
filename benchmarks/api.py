"""The API under many concurrent clients, on an ASGI and on a WSGI server."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from tempfile import TemporaryFile
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import make_conninfo

from benchmarks.api_load import LOADS, SHARED, Client
from benchmarks.api_load import run as load
from benchmarks.database import connect
from benchmarks.harness import (
    Target,
    environment,
    progress,
    rotated,
    spread,
    table,
    target_table,
)

if TYPE_CHECKING:
    from uuid import UUID

    from mastra_engine import PostgresEngine
    from mastra_engine.types import Message

WORKERS = 2
OWNER, ENTITY = "7", "Counters"
PACKAGES = ["Django", "djangorestframework", "psycopg", "gunicorn", "uvicorn"]

#: How each server is started on a socket that listens already. By default they close a connection
#: that was idle for seconds, maybe just as a client that the machine kept waiting sends on it.
SERVERS = {
    "uvicorn": "uvicorn django.core.asgi:get_asgi_application --factory --lifespan=off "
    "--workers={workers} --fd={fd} --no-access-log --timeout-keep-alive=60",
    "gunicorn": "gunicorn django.core.wsgi:get_wsgi_application() --workers={workers} "
    "--threads={threads} --keep-alive=60 --bind=fd://{fd}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The results of a server: requests per second in each round, and errors."""

    rates: dict[str, list[float]]
    #: Of the mixed requests, in milliseconds.
    median: float
    late: float
    requests: int
    errors: int
    lost: int
    connections: int

    def ratios(self, load: str) -> list[float]:
        """Return the rates as multiples of the bare view's in the same round."""
        pairs = zip(self.rates[load], self.rates["bare"], strict=True)
        return [rate / bare for rate, bare in pairs]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--clients", type=int, default=32, metavar="N")
    parser.add_argument("--seconds", type=float, default=60, metavar="S", help="of mixed requests")
    parser.add_argument("--rounds", type=int, default=6, metavar="N")
    parser.add_argument("--server", choices=SERVERS, action="append", help="only this; repeatable")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    results = {name: _measure(name, options) for name in options.server or SERVERS}
    targets = [
        Target(name=f"{name}: {what}", value=value, relation="<=", limit=limit, unit="")
        for name, result in results.items()
        for what, value, limit in (
            ("errors", result.errors, 0),
            ("lost writes", result.lost, 0),
            # A backend ends a moment after its client disconnects.
            ("connections", result.connections, 2 * options.clients),
        )
    ]
    data = {
        "benchmark": "api",
        "clients": options.clients,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "workers": WORKERS,
        "environment": environment(PACKAGES),
        "results": {name: asdict(result) for name, result in results.items()},
        "targets": [{**asdict(target), "met": target.met} for target in targets],
    }
    title = (
        f"{options.clients} clients, {options.seconds:g} s of mixed requests in "
        f"{options.rounds} rounds, {WORKERS} processes a server"
    )
    return "\n\n".join([title, _table(results), target_table(targets)]), data


def _measure(name: str, options: argparse.Namespace) -> Result:
    from mastra_engine import PostgresEngine

    engine = PostgresEngine()
    entity = engine.create_entity(name=ENTITY, connection_id=OWNER)
    with served(name, threads=options.clients // WORKERS) as address:
        clients = [
            Client(address=address, number=number, entity_id=str(entity.id))
            for number in range(options.clients)
        ]
        for thread_id in (SHARED, *(client.thread_id for client in clients)):
            engine.memory.create_thread(resource_id=OWNER, thread_id=thread_id)
        with _connections_of(name) as connections:
            rates, durations = _loaded(clients, options, name)
    result = Result(
        rates=rates,
        median=1000 * durations[len(durations) // 2],
        late=1000 * durations[len(durations) * 95 // 100],
        requests=len(durations),
        errors=sum(len(client.errors) for client in clients),
        lost=_lost(engine, clients, entity.id),
        connections=max(connections),
    )
    for error in {error for client in clients for error in client.errors}:
        progress(f"{name}: {error}")
    engine.erase(resource_id=OWNER)
    engine.delete_entity_by_id(id=entity.id)
    return result


def _loaded(
    clients: list[Client], options: argparse.Namespace, name: str
) -> tuple[dict[str, list[float]], list[float]]:
    """Run the loads in turn; return the rates, and the sorted durations of mixed requests."""
    rates: dict[str, list[float]] = {kind: [] for kind in LOADS}
    times: list[float] = []
    for kind in LOADS:  # warm up: import modules and compile templates
        load(clients, kind, seconds=2)
    for number, kind in rotated(list(LOADS), options.rounds):
        progress(f"{name}, round {number + 1}: {kind}")
        share = 1 if kind == "mixed" else 0.5
        rate, durations = load(clients, kind, seconds=share * options.seconds / options.rounds)
        rates[kind].append(rate)
        times += durations if kind == "mixed" else []
    return rates, sorted(times)


def _lost(engine: PostgresEngine, clients: list[Client], entity_id: UUID) -> int:
    """Return the number of acknowledged writes that are missing or wrong."""
    promised: dict[str, set[str]] = {}
    for client in clients:
        for thread_id, ids in client.messages.items():
            promised.setdefault(thread_id, set()).update(ids)
    lost: int = 0
    for thread_id, ids in promised.items():
        saved = [*_all_messages(engine, thread_id)]
        lost += len(ids - {message.id for message in saved})
        lost += [message.position for message in saved] != [*range(1, len(saved) + 1)]
    records = engine.get_records_by_entity_id(entity_id=entity_id)
    values: dict[str, int] = {record.external_id: record.data["value"] for record in records}
    return lost + sum(max(0, item.value - values.get(f"c{item.number}", 0)) for item in clients)


def _all_messages(engine: PostgresEngine, thread_id: str) -> Iterator[Message]:
    cursor = None
    while True:
        page = engine.memory.list_messages(thread_id=thread_id, limit=1000, cursor=cursor)
        yield from page
        if (cursor := page.next_cursor) is None:
            return


@contextmanager
def served(name: str, *, threads: int) -> Iterator[str]:
    """Start a server and yield its address; its errors are printed at the end."""
    environment = {
        **os.environ,
        "DB_URL": make_conninfo(os.environ["DB_URL"], application_name=name),
        "DJANGO_SETTINGS_MODULE": "benchmarks.api_settings",
    }
    with TemporaryFile() as log:
        with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
            host, port = listener.getsockname()
            number = listener.fileno()
            command = SERVERS[name].format(fd=number, workers=WORKERS, threads=threads)
            process = subprocess.Popen(
                [sys.executable, "-m", *command.split()],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[number],
            )
        try:
            yield f"{host}:{port}"
        finally:
            process.terminate()
            process.wait()
            log.seek(0)
            if "Traceback" in (output := log.read().decode()):
                progress(output[-4000:])


@contextmanager
def _connections_of(name: str) -> Iterator[list[int]]:
    """Count a server's connections to the database ten times a second."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    seen, over = [0], Event()

    def watch() -> None:
        with connect() as watcher:
            while not over.wait(0.1):
                seen.extend(row[0] for row in watcher.execute(sql, [name]))

    watching = Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def _table(results: dict[str, Result]) -> str:
    rows = [
        (
            name,
            spread(result.ratios("one row")),
            spread(result.ratios("mixed")),
            f"{median(result.rates['bare']):.0f}",
            f"{median(result.rates['mixed']):.0f}",
            f"{result.median:.0f} / {result.late:.0f} ms",
            result.connections,
        )
        for name, result in results.items()
    ]
    title = "Requests per second as a multiple of a bare view's in the same round: median [range]"
    head = ["", "a thread", "mixed", "bare, 1/s", "mixed, 1/s", "p50 / p95", "connections"]
    return table(title, head, rows)
