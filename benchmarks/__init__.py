"""Ours beside the raw floor and the peers, in one run."""
