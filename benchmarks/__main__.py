"""`python -m benchmarks records`: run one benchmark; each file is a subcommand."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import (
    api,
    facts,
    fusion,
    hybrid,
    indexing,
    mastra,
    mcp,
    memory,
    peers,
    recall,
    record_reads,
    records,
    retrieval,
    state,
    storages,
    syncs,
    vectors,
)
from benchmarks.database import own_database

BENCHMARKS = {
    "api": api,
    "facts": facts,
    "fusion": fusion,
    "hybrid": hybrid,
    "indexing": indexing,
    "mastra": mastra,
    "mcp": mcp,
    "memory": memory,
    "peers": peers,
    "recall": recall,
    "record_reads": record_reads,
    "records": records,
    "retrieval": retrieval,
    "state": state,
    "storages": storages,
    "syncs": syncs,
    "vectors": vectors,
}


def main() -> None:
    options = _parser().parse_args()
    with own_database():
        text, data = BENCHMARKS[options.benchmark].run(options)
    print(text)
    if options.json:
        _write(options.json, data)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name, benchmark in BENCHMARKS.items():
        text = benchmark.__doc__ or ""
        # argparse formats the help, but not the description.
        command = commands.add_parser(name, description=text, help=text.replace("%", "%%"))
        command.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
        benchmark.add_arguments(command)
    return parser


def _write(path: Path, data: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=2) + "\n")


if __name__ == "__main__":
    main()
