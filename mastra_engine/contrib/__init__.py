"""Adapters for agent frameworks, and servers that speak the protocols of other systems.

Each module needs only the extra of its own name, and nothing imports it but the project.
"""
