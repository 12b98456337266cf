"""Vectors: the engine and other libraries on PostgreSQL, with the same data and server."""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from benchmarks.database import connect, settle
from benchmarks.harness import progress, table

if TYPE_CHECKING:
    from benchmarks.vectors_data import Dataset

STORES = Path(__file__).with_name("peer_stores")
ENVIRONMENTS = Path("build/peers")
FILTERS = {"": None, "p10": {"p10": "yes"}, "p1": {"p1": "yes"}}
Told = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rows", type=int, default=20_000, metavar="N")
    parser.add_argument("--dim", type=int, default=384, metavar="N")
    parser.add_argument("--queries", type=int, default=100, metavar="N")
    parser.add_argument(
        "--store", action="append", metavar="NAME", help="only this one; repeatable"
    )


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    from benchmarks.vectors_data import Dataset

    data = Dataset.of(options.rows, options.dim, queries=options.queries)
    before = _ours(data)
    peer_times: dict[str, Told] = {}
    versions: dict[str, str] = {}
    for path in sorted(STORES.glob("*_store.py")):
        name = path.stem.removesuffix("_store")
        if not options.store or name in options.store:
            progress(name)
            try:
                python, versions[name] = _environment(path)
            except subprocess.CalledProcessError:
                versions[name] = "could not be installed"
            else:
                peer_times[name] = _peer_times(data, python, path)
    ours = _both(before, _ours(data))
    report = {"ours": ours, **peer_times}
    rows = [[name, *_row(item, ours, data)] for name, item in report.items()]
    title = f"{options.rows:,} x {options.dim}: ms and, beside it, recall@10 and fewest rows of 10"
    heads = ["", "rows/s", "/ ours", "search", "/ ours", "10 %", "/ ours", "1 %", "/ ours"]
    names = "\n".join(f"{name}: {version}" for name, version in versions.items())
    figures = {"benchmark": "peers", "versions": versions, "told": report}
    return f"{table(title, heads, rows)}\n\n{names}", figures


def _ours(data: Dataset) -> Told:
    """Measure the engine as `run.py` measures a peer."""
    from mastra_engine import engine

    vectors, metadata = data.vectors.tolist(), _metadata(data)
    ids = [str(i) for i in range(len(vectors))]
    start = time.perf_counter()
    engine.vectors.create_index(index_name="peer", dimension=len(vectors[0]))
    with engine.vectors.bulk_load(index_name="peer"):
        engine.vectors.upsert(index_name="peer", vectors=vectors, ids=ids, metadata=metadata)
    report: Told = {"load": time.perf_counter() - start}
    settle()

    def timed(query: list[float], where: Any) -> tuple[float, list[int]]:
        start = time.perf_counter()
        matches = engine.vectors.query(index_name="peer", query_vector=query, filter=where)
        return time.perf_counter() - start, [int(match.id) for match in matches]

    for key, where in FILTERS.items():
        report[key] = [timed(query, where) for query in data.queries.tolist()]
    engine.vectors.delete_index(index_name="peer")
    return report


def _both(one: Told, other: Told) -> Told:
    """Merge the figures from before and after the peers, because the machine's load may change."""
    load = (one["load"] + other["load"]) / 2
    return {"load": load, **{key: one[key] + other[key] for key in FILTERS}}


def _peer_times(data: Dataset, python: Path, path: Path) -> Told:
    import numpy as np

    with tempfile.TemporaryDirectory() as name, _own_database(path.stem) as url:
        folder = Path(name)
        np.save(folder / "vectors.npy", data.vectors)
        np.save(folder / "queries.npy", data.queries)
        (folder / "metadata.json").write_text(json.dumps(_metadata(data)))
        command = [str(item) for item in (python, STORES / "run.py", path.stem, url, folder)]
        quiet = {**os.environ, "PYTHONWARNINGS": "ignore", "MEM0_TELEMETRY": "False"}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=quiet, text=True) as process:
            assert process.stdout is not None
            if process.stdout.readline():
                with psycopg.connect(url, autocommit=True) as own:
                    own.execute("VACUUM (ANALYZE)")  # autovacuum would do it later
            out, _ = process.communicate("search\n")
        if process.returncode:
            raise RuntimeError(f"{path.name} failed")
    report: Told = json.loads(out)
    return report


def _metadata(data: Dataset) -> list[dict[str, str]]:
    """Convert a value to text: not every peer supports filters on other types."""
    return [{key: "yes" for key in ("p1", "p10") if key in item} for item in data.metadata]


def _environment(path: Path) -> tuple[Path, str]:
    """Return the Python of a store's environment, which is created if missing, and its version."""
    tree = ast.parse(path.read_text())
    expected = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "REQUIREMENTS"
    )
    home = ENVIRONMENTS / path.stem
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *expected], check=True)
        (home / "ready").touch()
    code = f"from importlib.metadata import version; print(version({expected[0]!r}))"
    report = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    return python, f"{expected[0]} {report.stdout.strip()}"


@contextmanager
def _own_database(name: str) -> Iterator[str]:
    """Create a database for a peer, with the engine's `ef_search`."""
    with connect() as admin:
        admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            parts = {**conninfo_to_dict(os.environ["DB_URL"]), "dbname": name}
            url = _url({key: str(value) for key, value in parts.items() if value})
            with psycopg.connect(url, autocommit=True) as own:
                own.execute("CREATE EXTENSION vector")
                own.execute(f"ALTER DATABASE {name} SET hnsw.ef_search = 100")
            yield url
        finally:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _url(parts: dict[str, str]) -> str:
    """Return the URL of a database in the form that every peer accepts."""
    user, password = parts.pop("user", "postgres"), parts.pop("password", "")
    login = quote(user) + (f":{quote(password)}" if password else "")
    return f"postgresql://{login}@/{parts.pop('dbname')}?{urlencode(parts)}"


def _row(report: Told, ours: Told, data: Dataset) -> list[str]:
    rate, ratio = len(data.vectors) / report["load"], ours["load"] / report["load"]
    cells = [f"{rate:,.0f}", f"{ratio:.2f}x"]
    for key in FILTERS:
        among = data.carrying(key) if key else None
        hits = [
            len(data.nearest(query, among).intersection(map(str, matches))) / 10
            for query, (_, matches) in zip(cycle(data.queries), report[key], strict=False)
        ]
        fewest = min(len(matches) for _, matches in report[key])
        duration, base = (median(seconds for seconds, _ in item[key]) for item in (report, ours))
        recall = sum(hits) / len(hits)
        cells += [f"{duration * 1000:.2f} {recall:.2f}/{fewest}", f"{duration / base:.1f}x"]
    return cells
