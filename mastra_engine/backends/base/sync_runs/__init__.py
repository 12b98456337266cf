"""Runs of declared syncs."""
