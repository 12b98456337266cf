"""Concurrent clients, which record the writes that the server acknowledged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import cycle
from typing import Any
from uuid import uuid4

Step = Callable[["Client"], None]

SHARED = "shared"
JSON = {"Content-Type": "application/json"}


@dataclass(kw_only=True)
class Client:
    """A client with a connection of its own."""

    address: str
    number: int
    entity_id: str
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    #: What was acknowledged: ids of messages by thread, and the newest value of its record.
    messages: dict[str, set[str]] = field(default_factory=dict)
    value: int = 0

    def __post_init__(self) -> None:
        self._http = HTTPConnection(self.address, timeout=60)

    @property
    def thread_id(self) -> str:
        """Return the id of the client's own thread."""
        return f"thread-{self.number}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> bool:
        """Send a request; return whether it succeeded."""
        sent = None if body is None else json.dumps(body)
        begun = time.perf_counter()
        try:
            self._http.request(method, path, sent, {**JSON, **headers})
            answer = self._http.getresponse()
            output = answer.read()
        except OSError as error:
            self._http.close()
            self.errors.append(repr(error))
            return False
        self.latencies.append(time.perf_counter() - begun)
        if answer.status >= 400:
            self.errors.append(f"{answer.status} {output[:200]!r}")
        return answer.status < 400

    def work(self, steps: list[Step], until: float) -> None:
        for step in cycle(steps):
            if time.perf_counter() >= until:
                self._http.close()
                return
            step(self)

    # Steps

    def read_bare(self) -> None:
        self.ask("GET", f"/bare/{self.thread_id}/")

    def read_thread(self) -> None:
        self.ask("GET", f"/api/v1/threads/{self.thread_id}/")

    def read_context(self) -> None:
        self.ask("GET", f"/api/v1/threads/{self.thread_id}/context/?max_tokens=1000")

    def read_shared(self) -> None:
        self.ask("GET", f"/api/v1/threads/{SHARED}/messages/?limit=10&order=desc")

    def query_records(self) -> None:
        body = {"filters": {"client": {"$gte": self.number}}, "limit": 10}
        self.ask("POST", f"/api/v1/entities/{self.entity_id}/query/", body)

    def append_own(self) -> None:
        self._append(self.thread_id)

    def append_shared(self) -> None:
        self._append(SHARED)

    def write_record(self) -> None:
        value = self.value + 1
        data = {"client": self.number, "value": value}
        body = {"records": [{"external_id": f"c{self.number}", "data": data}]}
        if self.ask("POST", f"/api/v1/entities/{self.entity_id}/records/", body):
            self.value = value

    def _append(self, thread_id: str) -> None:
        id = str(uuid4())
        body = {"messages": [{"id": id, "role": "user", "content": "How far is it? " * 10}]}
        headers = {"Idempotency-Key": id}
        if self.ask("POST", f"/api/v1/threads/{thread_id}/messages/", body, **headers):
            self.messages.setdefault(thread_id, set()).add(id)


#: What clients do, over and over.
LOADS: dict[str, list[Step]] = {
    "bare": [Client.read_bare],
    "one row": [Client.read_thread],
    "mixed": [
        Client.append_own,
        Client.read_context,
        Client.append_shared,
        Client.read_shared,
        Client.write_record,
        Client.query_records,
    ],
}


def run(clients: list[Client], load: str, *, seconds: float) -> tuple[float, list[float]]:
    """Run a load for some seconds; return requests per second and their durations."""
    for client in clients:
        client.latencies.clear()
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(clients)) as pool:
        for future in [
            pool.submit(client.work, LOADS[load], begun + seconds) for client in clients
        ]:
            future.result()
    durations = [item for client in clients for item in client.latencies]
    return len(durations) / (time.perf_counter() - begun), durations
