"""URLs of Mastra's routes, which have no trailing slashes."""

from __future__ import annotations

from mastra_engine.contrib.mastra_server import messages, search, threads, vectors, working_memory

app_name = "mastra_server"

urlpatterns = [
    route
    for module in (threads, messages, working_memory, search, vectors)
    for route in module.urlpatterns
]
