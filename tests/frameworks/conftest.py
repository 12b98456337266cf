"""Collect nothing where `make test` runs: the frameworks have environments of their own."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("pytest_asyncio") else ["*"]
