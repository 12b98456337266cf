"""Vector indexes and embeddings."""

from __future__ import annotations

import math
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import connections
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.base import EngineAdmin, Fact, Link, View
from mastra_engine.admin.beginnings import read_beginnings
from mastra_engine.admin.lags import behind
from mastra_engine.admin.map import Map
from mastra_engine.admin.names import Name, Reference, embedding_key, vector_title
from mastra_engine.admin.overview import Overview
from mastra_engine.admin.playground import Playground
from mastra_engine.admin.reading import database
from mastra_engine.admin.sources import origins
from mastra_engine.admin.wording import number_text, term
from mastra_engine.backends.base.own_indexes import own_indexes
from mastra_engine.handler import DEFAULT_ALIAS, engine
from mastra_engine.health import read_lags
from mastra_engine.models import Embedding, IndexProgress, VectorIndex
from mastra_engine.postgres.structures import Structure, read_structures
from mastra_engine.registry import registry
from mastra_engine.task_queue import enqueue_build, enqueue_rebuild
from mastra_engine.types import Match

NEIGHBOURS = 10
#: The most entities of an index that its page lists.
RELATED = 50


@admin.register(VectorIndex)
class VectorIndexAdmin(Overview, Playground, Map):
    """Vector indexes with their size and the state of their search structure."""

    views = (
        *Overview.views,
        *Playground.views,
        *Map.views,
        View("structure", "<path:object_id>/structure/"),
        View("build", "<path:object_id>/build/", needs="change"),
        View("rebuild", "<path:object_id>/rebuild/", needs="change"),
    )
    list_display = ("name", "dimension", "metric", "index_type", "storage")
    search_fields = ("name",)
    search_help_text = gettext_lazy("The beginning of an index name")
    facts = (
        *("name", "dimension", "metric", "index_type", "storage", "language"),
        *("m", "ef_construction", "created_at"),
    )
    template = "index.html"

    def get_list_display(self, request: HttpRequest) -> Any:
        """Add the status, the size and the lag of each index, read for all indexes together."""
        lags = read_lags(database())
        structures = {state.name: state for state in read_structures(connections[database()])}

        @admin.display(description=gettext_lazy("status"))
        def status(row: VectorIndex) -> str | None:
            return term(structures[row.name].status) if row.name in structures else None

        @admin.display(description=gettext_lazy("vectors"))
        def vectors(row: VectorIndex) -> str | None:
            return _estimate(structures[row.name].vectors) if row.name in structures else None

        @admin.display(description=gettext_lazy("size"))
        def size(row: VectorIndex) -> str | None:
            return filesizeformat(structures[row.name].bytes) if row.name in structures else None

        @admin.display(description=gettext_lazy("changes to read"))
        def lag(row: VectorIndex) -> SafeString:
            return behind(row.name, lags).__html__()

        return [*super().get_list_display(request), status, vectors, size, lag]

    def heading(self, request: HttpRequest, row: VectorIndex) -> str:
        return _("Vector index %(name)s") % {"name": row.name}

    def tools(self, request: HttpRequest, row: VectorIndex) -> list[Link]:
        links = [
            Link(_("Vectors"), self.url("embedding_changelist", vector_index__id__exact=row.pk))
        ]
        if self.reads(request, Embedding):
            links += [
                Link(_("Search"), self.url("playground", target=f"vectors:{row.name}")),
                Link(_("Map"), self.url("map", row.pk)),
            ]
        if self.may(request, "change"):
            links.append(Link(_("Build"), self.url("build", row.pk)))
            if _is_declared(row) or row.name in own_indexes(engine):
                links.append(Link(_("Index everything again"), self.url("rebuild", row.pk)))
        return links

    def details(self, request: HttpRequest, row: VectorIndex) -> dict[str, Any]:
        index_progress = self.rows(IndexProgress).filter(vector_index=row).select_related("entity")
        return {**self._structure(row), "index_progress": index_progress.order_by("id")[:RELATED]}

    def structure(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the part of an index's page that a script reloads while the index is built."""
        row = self.row(request, object_id)
        return self.page(request, "structure.html", title=str(row), row=row, **self._structure(row))

    def build(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Build the search structure of an index, in a task where the project has workers."""
        row = self.row(request, object_id)
        return self.confirm(
            request,
            row,
            question=_(
                "The search structure will be built, by a worker if the project has one. "
                "During the build, the index can be searched and written to."
            ),
            label=_("Build"),
            act=lambda: enqueue_build(DEFAULT_ALIAS, row.name),
            success=_("The build was started."),
        )

    def rebuild(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Index again all that an index is made from, in a task where the project has workers."""
        row = self.row(request, object_id)
        return self.confirm(
            request,
            row,
            question=_(
                "The index is deleted, and all that it was made from is embedded again, by a "
                "worker if the project has one. Until that ends, searches find only a part."
            )
            if row.name in own_indexes(engine)
            else _(
                "All records of the index are read and embedded again, by a worker if the project "
                "has one. Searches use the old vectors until they are replaced."
            ),
            label=_("Index everything again"),
            act=lambda: enqueue_rebuild(DEFAULT_ALIAS, row.name),
            success=_("Indexing everything again was started."),
        )

    def _structure(self, row: VectorIndex) -> dict[str, Any]:
        structures = read_structures(connections[database()])
        state: Structure | None = next((one for one in structures if one.name == row.name), None)
        if state is None:
            return {"state": None}
        sizes = [
            Fact(_("Vectors"), _estimate(state.vectors)),
            Fact(_("Size"), filesizeformat(state.bytes)),
        ]
        return {"state": state, "sizes": sizes, "active": state.status == "building"}


@admin.register(Embedding)
class EmbeddingAdmin(EngineAdmin):
    """Vectors with their documents and metadata, listed by index: each has its own partition."""

    list_display = ("row_id", "namespace", "created_at", "updated_at")
    search_fields = ("vector_id", "namespace")
    search_help_text = gettext_lazy("The beginning of a vector ID or a namespace")
    lookups = frozenset({"vector_index__id__exact"})
    listed = False
    facts = ("vector_id", "vector_index_id", "namespace", "created_at", "updated_at")
    documents = ("document", "metadata")
    unread = ("embedding", "sparse_embedding")
    template = "embedding.html"

    def reference(self, row: Embedding) -> Reference:
        return "embedding", embedding_key(row.vector_index_id, row.row_id)

    def is_small(self, request: HttpRequest) -> bool:
        return False  # the table of all partitions has no estimate

    def only(self, row: Embedding) -> QuerySet[Any]:
        return super().only(row).filter(vector_index_id=row.vector_index_id)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if "vector_index__id__exact" not in request.GET and self.has_view_permission(request):
            messages.info(request, _("Choose a vector index to list its vectors."))
            return redirect(self.url("vectorindex_changelist") or f"{self.admin_site.name}:index")
        return super().changelist_view(request, extra_context)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Embedding | None:
        """Find a row by the key of the table, index and row ID, or more slowly by the row ID."""
        index_id, has_index, row_id = object_id.rpartition(".")
        rows = self.rows(Embedding).select_related("vector_index").defer(*self.documents)
        try:
            if has_index:
                rows = rows.filter(vector_index_id=int(index_id))
            return cast(Embedding, rows.get(row_id=row_id))
        except (Embedding.DoesNotExist, ValidationError, ValueError):
            return None

    def tools(self, request: HttpRequest, row: Embedding) -> list[Link]:
        links = [Link(_("Index"), self.url("vectorindex_change", row.vector_index_id))]
        if self.reads(request, Embedding):
            metadata = read_beginnings(self.only(row), ["metadata"])["metadata"]
            if isinstance(metadata, dict):  # not too long
                links += filter(None, origins(self, request, [(row.namespace, metadata)]))
        return links

    def details(self, request: HttpRequest, row: Embedding) -> dict[str, Any]:
        vector = row.numbers()
        length = math.sqrt(math.fsum(number * number for number in vector))
        return {
            "numbers": [Fact(_("Dimension"), len(vector)), Fact(_("Length"), f"{length:.3f}")],
            "neighbours": self._neighbours(row, vector) if self.reads(request, Embedding) else [],
        }

    def _neighbours(self, row: Embedding, vector: list[float]) -> list[tuple[Match, Name]]:
        """Return the nearest vectors of the same namespace, each with its name."""
        matches = engine.vectors.query(
            index_name=row.vector_index.name,
            query_vector=vector,
            namespace=row.namespace,
            top_k=NEIGHBOURS + 1,
        )
        others = [match for match in matches if match.id != row.vector_id][:NEIGHBOURS]
        rows = self.rows(Embedding).filter(
            vector_index=row.vector_index,
            namespace=row.namespace,
            vector_id__in=[match.id for match in others],
        )
        keys = dict(rows.values_list("vector_id", "row_id"))
        return [
            (
                match,
                Name(
                    text=vector_title(match.metadata, match.document),
                    id=match.id,
                    url=self.embedding_url(row.vector_index_id, keys[match.id]),
                ),
            )
            for match in others
            if match.id in keys  # it may have been deleted after the search
        ]


@admin.register(IndexProgress)
class IndexProgressAdmin(EngineAdmin):
    """How far each vector index has read the changes of each entity."""

    list_display = ("id", "entity_id", "vector_index_id", "rev", "complete", "updated_at")
    lookups = frozenset({"entity__id__exact", "vector_index__id__exact"})
    listed = False
    facts = ("entity_id", "vector_index_id", "rev", "complete", "claimed_until", "updated_at")


def _is_declared(index: VectorIndex) -> bool:
    return any(declared.index == index.name for declared in registry.indexes.values())


def _estimate(vectors: int | None) -> str:
    if vectors is None:
        return _("unknown")
    return _("about %(number)s") % {"number": number_text(vectors)}
