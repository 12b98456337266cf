"""The routes for Mastra's client beside the same operations of the REST API, in one run."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from http.client import HTTPConnection
from itertools import count
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.api import OWNER, PACKAGES, served
from benchmarks.harness import Target, environment, progress, table, target_table

if TYPE_CHECKING:
    from mastra_engine import PostgresEngine

THREAD, MESSAGES, DIMENSION = "shared", 20, 256
#: A Mastra route may take so many times as long as the REST API.
LIMIT = 1.2

#: A request: its method, its path and its body, which may be different each time.
Request = tuple[str, str, Any]
_numbers = count()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--requests", type=int, default=400, metavar="N", help="of each kind")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    from mastra_engine import PostgresEngine

    engine = PostgresEngine()
    furnish(engine)
    with served("gunicorn", threads=1) as address:
        times = {name: measure(address, pair, options.requests) for name, pair in PAIRS.items()}
    engine.erase(resource_id=OWNER)
    engine.vectors.delete_index(index_name="docs")
    targets = [
        Target(name=name, value=mastra / rest, relation="<=", limit=LIMIT)
        for name, (rest, mastra) in times.items()
    ]
    rows = [
        (name, f"{1000 * rest:.2f} ms", f"{1000 * mastra:.2f} ms")
        for name, (rest, mastra) in times.items()
    ]
    title = f"One client on gunicorn, the median of {options.requests} requests each, in turn"
    report = [table(title, ["", "REST API", "Mastra's route"], rows), target_table(targets)]
    return "\n\n".join(report), {
        "benchmark": "mastra",
        "requests": options.requests,
        "environment": environment(PACKAGES),
        "milliseconds": {name: [1000 * item for item in pair] for name, pair in times.items()},
        "targets": [{**asdict(target), "met": target.met} for target in targets],
    }


def furnish(engine: PostgresEngine) -> None:
    """Store what the requests read."""
    messages: Any = [{"role": "user", "content": "How far is it? " * 10}] * MESSAGES
    engine.memory.save_memory(thread_id=THREAD, resource_id=OWNER, messages=messages)
    engine.memory.update_working_memory(resource_id=OWNER, content="Likes tea")
    engine.vectors.create_index(index_name="docs", dimension=DIMENSION)
    vectors = [[float(i == j) for j in range(DIMENSION)] for i in range(DIMENSION)]
    engine.vectors.upsert(index_name="docs", vectors=vectors, namespace=OWNER)


def measure(
    address: str, pair: tuple[Callable[[], Request], Callable[[], Request]], requests: int
) -> tuple[float, float]:
    """Return the median seconds of both requests of a pair, which take turns."""
    connection = HTTPConnection(address, timeout=60)
    durations: tuple[list[float], list[float]] = ([], [])
    for number in range(requests + 20):  # the first ones warm up
        for make, elapsed in zip(pair, durations, strict=True):
            method, path, body = make()
            sent = None if body is None else json.dumps(body)
            begun = time.perf_counter()
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            response = connection.getresponse()
            output = response.read()
            if number >= 20:
                elapsed.append(time.perf_counter() - begun)
            if response.status >= 400:
                progress(f"{method} {path}: {response.status} {output[:200]!r}")
    connection.close()
    return median(durations[0]), median(durations[1])


def _save_by_rest() -> Request:
    message = {"id": f"rest {next(_numbers)}", "role": "user", "content": "How far is it?"}
    return "POST", "/api/v1/threads/saved/messages/", {"messages": [message], "resource_id": OWNER}


def _save_by_mastra() -> Request:
    message = {
        "id": f"mastra {next(_numbers)}",
        "role": "user",
        "threadId": "saved",
        "resourceId": OWNER,
        "content": {"format": 2, "parts": [{"type": "text", "text": "How far is it?"}]},
    }
    return "POST", "/api/memory/save-messages", {"messages": [message]}


_VECTOR = [1.0] * DIMENSION
PAIRS: dict[str, tuple[Callable[[], Request], Callable[[], Request]]] = {
    "read a thread": (
        lambda: ("GET", f"/api/v1/threads/{THREAD}/", None),
        lambda: ("GET", f"/api/memory/threads/{THREAD}?agentId=a", None),
    ),
    "list threads": (
        lambda: ("GET", f"/api/v1/threads/?resource_id={OWNER}", None),
        lambda: ("GET", f"/api/memory/threads?resourceId={OWNER}", None),
    ),
    "list 20 messages": (
        lambda: ("GET", f"/api/v1/threads/{THREAD}/messages/?limit=20&order=desc", None),
        lambda: ("GET", f"/api/memory/threads/{THREAD}/messages?perPage=20&agentId=a", None),
    ),
    "save a message": (_save_by_rest, _save_by_mastra),
    "read working memory": (
        lambda: ("GET", f"/api/v1/resources/{OWNER}/working-memory/", None),
        lambda: ("GET", f"/api/memory/threads/{THREAD}/working-memory?resourceId={OWNER}", None),
    ),
    "search vectors": (
        lambda: (
            "POST",
            "/api/v1/indexes/docs/query/",
            {"query_vector": _VECTOR, "top_k": 10},
        ),
        lambda: (
            "POST",
            "/api/vector/default/query",
            {"indexName": "docs", "queryVector": _VECTOR, "topK": 10},
        ),
    ),
}
