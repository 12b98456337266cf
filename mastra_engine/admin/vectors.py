"""Vector indexes and embeddings."""

from __future__ import annotations

from django.contrib import admin

from mastra_engine.admin.base import EngineAdmin
from mastra_engine.admin.map import Map
from mastra_engine.admin.overview import Overview
from mastra_engine.admin.playground import Playground
from mastra_engine.models import Embedding, VectorIndex


@admin.register(VectorIndex)
class VectorIndexAdmin(Overview, Playground, Map):
    """Sets of vectors."""

    views = (*Overview.views, *Playground.views, *Map.views)
    list_display = ("name", "dimension", "metric", "index_type", "storage", "created_at")
    search_fields = ("name",)
    search_help_text = "How the name of an index begins"
    facts = (
        "name",
        "dimension",
        "metric",
        "index_type",
        "storage",
        "language",
        "m",
        "ef_construction",
        "created_at",
    )


@admin.register(Embedding)
class EmbeddingAdmin(EngineAdmin):
    """Vectors, with what belongs to them."""

    list_display = ("vector_id", "namespace", "created_at", "updated_at")
    lookups = frozenset({"vector_index__id__exact"})
    listed = False
    facts = ("vector_id", "namespace", "created_at", "updated_at")
    documents = ("document", "metadata")
