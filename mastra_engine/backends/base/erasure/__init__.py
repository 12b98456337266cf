"""Erasing everything that is stored of a resource or a connection."""
