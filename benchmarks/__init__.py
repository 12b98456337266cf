"""Benchmarks of the engine, raw SQL and other libraries in the same run."""
