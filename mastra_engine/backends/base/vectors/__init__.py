"""Vector indexes and their search."""
