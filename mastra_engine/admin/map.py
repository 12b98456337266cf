"""The map of an index: a sample of its vectors, projected into the plane."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.core.cache import cache
from django.db import connections
from django.db.models import F, Func, QuerySet, TextField, Value
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.base import EngineAdmin, Link, View
from mastra_engine.admin.forms import PageForm
from mastra_engine.admin.projection import Projection, project
from mastra_engine.admin.reading import database
from mastra_engine.admin.sources import as_uuid
from mastra_engine.backends.base.vectors.search import ENTITY, THREAD
from mastra_engine.models import Embedding, VectorIndex
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.samples import sample_vectors

#: The most vectors of a map, and the most numbers read for it (16 MB).
POINTS, NUMBERS = 2_000, 4_000_000
#: Seconds for which a map is cached.
CACHED = 600
#: The most values with a colour of their own, and the most metadata fields to choose from.
COLOURS, FIELDS = 7, 30
#: The number of vectors from which the metadata is read to find these fields.
_FIELD_SAMPLE = 200
#: The most characters shown of a value and of a document.
LABEL, EXCERPT = 60, 120
NAMESPACE = "@namespace"
#: The fields that hold ids, and the models of their rows.
NAMED = {ENTITY: "entity", THREAD: "thread"}
OTHERS, NOTHING = gettext_lazy("others"), gettext_lazy("(none)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The projected vectors of a sample. It is cached, so it must not hold content."""

    rows: list[UUID]
    projection: Projection


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The points of one colour, each as [x, y, address, excerpt]."""

    label: str
    points: list[list[Any]]


class _FieldText(Func):
    """A field of a JSON object as text. Django's own reads a numeric key as an array index."""

    function = "jsonb_extract_path_text"
    output_field = TextField()


class ColourForm(PageForm):
    """The metadata field that colours the points."""

    by = forms.ChoiceField(label=gettext_lazy("Colour by"))

    def __init__(self, *args: Any, fields: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(name, name) for name in fields]
        self.fields["by"].choices = [*names, (NAMESPACE, gettext_lazy("namespace"))]  # type: ignore[attr-defined]


class Map(EngineAdmin):
    """The map page of an index."""

    views: tuple[View, ...] = (View("map", "<str:object_id>/map/", content="embedding"),)

    def map(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a sample of an index, coloured by a metadata field or by namespace."""
        index = self.row(request, object_id)
        picture = _picture(index)
        rows = self.rows(Embedding).filter(vector_index=index, row_id__in=picture.rows)
        fields = _fields(rows, picture)
        query = ColourForm(request.GET, fields=fields)
        by = query.cleaned_data["by"] if query.is_valid() else [*fields, NAMESPACE][0]
        groups = self._groups(request, picture, rows, by)
        return self.page(
            request,
            "map.html",
            title=_("Map"),
            heading=_("Map of %(index)s") % {"index": index.name},
            tools=[Link(_("Index"), self.url("vectorindex_change", index.pk))],
            row=index,
            form=ColourForm({"by": by}, fields=fields),
            groups=groups,
            points=[asdict(group) for group in groups],
            number=sum(len(group.points) for group in groups),
            percent=100 * picture.projection.variance,
        )

    def _groups(
        self, request: HttpRequest, picture: Picture, rows: QuerySet[Embedding], by: str
    ) -> list[Group]:
        """Group the points by the value of a field, the largest group first, the rest last."""
        value = F("namespace") if by == NAMESPACE else _FieldText("metadata", Value(by))
        labelled = rows.annotate(value=Left(value, LABEL), excerpt=Left("document", EXCERPT))
        places = dict(zip(picture.rows, picture.projection.points, strict=True))
        points: dict[str, list[list[Any]]] = defaultdict(list)
        for index_id, row_id, vector_id, label, excerpt in labelled.values_list(
            "vector_index_id", "row_id", "vector_id", "value", "excerpt"
        ):
            address = self.embedding_url(index_id, row_id)
            points[label or str(NOTHING)].append([*places[row_id], address, excerpt or vector_id])
        ordered = sorted(points, key=lambda label: (-len(points[label]), label))
        names = self._labels(request, by, ordered[:COLOURS])
        groups = [Group(label=names[label], points=points[label]) for label in ordered[:COLOURS]]
        if rest := [point for label in ordered[COLOURS:] for point in points[label]]:
            groups.append(Group(label=str(OTHERS), points=rest))
        return groups

    def _labels(self, request: HttpRequest, by: str, values: list[str]) -> dict[str, str]:
        """Return the label of each value of a field: its name where it is the id of a row."""
        keys = {value: as_uuid(value) if by == ENTITY else value for value in values}
        kind = NAMED.get(by, "")
        names = self.names(request, [(kind, key) for key in keys.values()])
        return {
            value: str(names[kind, key]) if (kind, key) in names else value
            for value, key in keys.items()
        }


def _picture(index: VectorIndex) -> Picture:
    """Return the picture of an index from the cache, or make it; an empty one is not cached."""
    key = f"mastra_engine:map:{index.pk}:{index.created_at.timestamp()}"
    cached: Picture | None = cache.get(key)
    if cached is not None:
        return cached
    partition = Partition(connections[database()], index.to_definition())
    sample = sample_vectors(partition, most=min(POINTS, NUMBERS // index.dimension))
    if not sample:
        return Picture(rows=[], projection=Projection([], 0.0))
    rows, vectors = zip(*sample, strict=True)
    projection = project(vectors, unit=index.metric == "cosine")
    picture = Picture(rows=list(rows), projection=projection)
    cache.set(key, picture, CACHED)
    return picture


def _fields(rows: QuerySet[Embedding], picture: Picture) -> list[str]:
    """Return the metadata fields that group vectors, those with the fewest values first."""
    sample = rows.filter(row_id__in=picture.rows[:_FIELD_SAMPLE]).values_list("metadata", flat=True)
    values: dict[str, list[str]] = defaultdict(list)
    for metadata in sample:
        for field, value in metadata.items():
            if not isinstance(value, dict | list | None):
                values[field].append(str(value))
    distinct = {field: len(set(texts)) for field, texts in values.items()}
    grouping = [
        field
        for field, texts in values.items()
        if distinct[field] < len(texts) and (distinct[field] > 1 or len(texts) < len(sample))
    ]
    return sorted(grouping, key=lambda field: (distinct[field], field))[:FIELDS]
