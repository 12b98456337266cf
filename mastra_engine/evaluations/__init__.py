"""Searches to measure, named by text, and the cases and results that the database keeps.

The command `engine_evaluate` and the admin both use it.
"""
