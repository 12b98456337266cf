"""Idempotent calls: a repeated call returns the stored response."""
