"""Load and search: `python run.py STORE URL FOLDER`, in the environment of the store.

In the folder, `vectors.npy` and `queries.npy` are arrays, `metadata.json` has an object for each
vector. On standard output goes one JSON object, after a line when everything is loaded; what
follows waits for a line on standard input.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

FILTERS: dict[str, dict[str, str]] = {"": {}, "p10": {"p10": "yes"}, "p1": {"p1": "yes"}}


def main(name: str, url: str, folder: Path) -> None:
    out, sys.stdout = sys.stdout, sys.stderr  # libraries may print to stdout
    vectors = np.load(folder / "vectors.npy").tolist()
    queries = np.load(folder / "queries.npy").tolist()
    metadata = json.loads((folder / "metadata.json").read_text())
    store = importlib.import_module(name).Store(url, len(vectors[0]))
    start = time.perf_counter()
    store.load(vectors, metadata)
    report: dict[str, Any] = {"load": time.perf_counter() - start}
    print("loaded", file=out, flush=True)
    sys.stdin.readline()
    for key, where in FILTERS.items():
        report[key] = [timed(store, query, where) for query in queries]
    print(json.dumps(report), file=out)


def timed(store: Any, query: list[float], where: dict[str, str]) -> tuple[float, list[int]]:
    """Return the seconds and the numbers of the ten nearest."""
    start = time.perf_counter()
    matches = store.search(query, where)
    return time.perf_counter() - start, matches


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
