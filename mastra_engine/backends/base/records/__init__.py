"""Entities, records, syncs and the change feed."""
