"""For tests: the contract suite that every engine passes, hostile input, and a pytest plugin."""

from __future__ import annotations
