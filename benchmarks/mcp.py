"""Recall through the MCP server, compared with the same recall through the REST API."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from http.client import HTTPConnection
from typing import Any

from benchmarks.api import OWNER, SERVERS, served
from benchmarks.comparison import Pair, Rows, measure, ratio_table, ratios, targets
from benchmarks.harness import environment, progress, target_table

PACKAGES = ["Django", "djangorestframework", "mcp", "gunicorn", "uvicorn"]
LIMIT = 1.3
QUESTION = {"query": "How long does a refund of an order take?", "resource_id": OWNER}
VERSIONS = ("2025-11-25", "2026-07-28")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--messages", type=int, default=10_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--calls", type=int, default=30, metavar="N", help="of each, a round")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    _load(options.messages)
    with ExitStack() as stack:
        addresses = {name: stack.enter_context(served(name, threads=1)) for name in SERVERS}
        pairs = [pair for name in addresses for pair in _pairs(name, addresses[name])]
        for pair in pairs:
            pair.check()
        timings = measure(pairs, rounds=options.rounds, calls=options.calls)
    arrived = list(targets(pairs, timings))
    data = {
        "benchmark": "mcp",
        "messages": options.messages,
        "rounds": options.rounds,
        "environment": environment(PACKAGES),
        "ratios": {pair.name: ratios(pair, timings) for pair in pairs},
        "targets": [{**asdict(target), "met": target.met} for target in arrived],
    }
    title = (
        f"Recall from {options.messages:,} messages through MCP, and through the REST API (raw); "
        f"medians of {options.rounds} interleaved rounds of {options.calls} calls"
    )
    return "\n\n".join(
        [title, ratio_table(pairs, timings, options.calls), target_table(arrived)]
    ), data


def _load(messages: int) -> None:
    """Save messages about orders, and embed them."""
    from mastra_engine import PostgresEngine
    from mastra_engine.embedders import WordLlamaEmbedder

    progress(f"loading {messages:,} messages")
    memory = PostgresEngine(embedder=WordLlamaEmbedder()).memory
    for start in range(0, messages, 1_000):
        numbers = range(start, start + 1_000)
        texts = [f"Order {number} was refunded after {number % 30} days" for number in numbers]
        memory.save_memory(
            thread_id=f"thread-{start}",
            resource_id=OWNER,
            messages=[{"role": "user", "content": text} for text in texts],
        )


def _pairs(server: str, address: str) -> Iterator[Pair]:
    """Yield the calls through MCP in each revision, beside that through the REST API."""
    http = HTTPConnection(address, timeout=60)

    def post(path: str, body: Any, **headers: str) -> Any:
        sent = {"Content-Type": "application/json", **headers}
        http.request("POST", path, json.dumps(body), sent)
        return json.loads(http.getresponse().read())

    def rest() -> Rows:
        return list(post("/api/v1/recall/", QUESTION)["items"])

    for version in VERSIONS:
        message, headers = _call(version)

        def call(message: Any = message, headers: Any = headers) -> Rows:
            result = post("/mcp/", message, **headers)["result"]
            return list(result["structuredContent"]["items"])

        yield Pair(f"{server}, {version}", call, rest, limit=LIMIT)


def _call(version: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the message and the headers of a call of the tool."""
    params: dict[str, Any] = {"name": "recall", "arguments": QUESTION}
    headers = {"MCP-Protocol-Version": version}
    if version == VERSIONS[-1]:
        prefix = "io.modelcontextprotocol"
        meta = {f"{prefix}/protocolVersion": version, f"{prefix}/clientCapabilities": {}}
        params["_meta"] = meta
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": "recall"}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers
