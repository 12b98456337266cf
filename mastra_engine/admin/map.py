"""A picture of an index: a sample of its vectors in the plane in which they differ most."""

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

from mastra_engine.admin.base import EngineAdmin, Link, View
from mastra_engine.admin.forms import PageForm
from mastra_engine.admin.projection import Projection, project
from mastra_engine.admin.reading import database
from mastra_engine.models import Embedding, VectorIndex
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.samples import sample_vectors

#: So many vectors are shown at most, and so many numbers read: 16 MB.
POINTS, NUMBERS = 2_000, 4_000_000
#: How long a picture is kept, in seconds.
KEPT = 600
#: So many values have a colour of their own, and so many metadata fields are offered.
COLOURS, FIELDS = 7, 30
#: How many vectors' metadata is looked at to find these fields.
_LOOKED_AT = 200
#: Of a value and of a document so many characters are shown.
LABEL, EXCERPT = 60, 120
NAMESPACE = "@namespace"
OTHERS, NOTHING = "others", "(none)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Where the vectors of a sample are. It is kept for a while, so it holds no content."""

    rows: list[UUID]
    projection: Projection


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The points of one colour, each as [x, y, address, excerpt]."""

    label: str
    points: list[list[Any]]


class _TextOf(Func):
    """A field of a JSON object as text; Django would take a number for a place in a list."""

    function = "jsonb_extract_path_text"
    output_field = TextField()


class ColourForm(PageForm):
    """By what points are coloured."""

    by = forms.ChoiceField(label="Colour by")

    def __init__(self, *args: Any, fields: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(name, name) for name in fields]
        self.fields["by"].choices = [*names, (NAMESPACE, "namespace")]  # type: ignore[attr-defined]


class Map(EngineAdmin):
    """The page of the picture."""

    views: tuple[View, ...] = (View("map", "<str:object_id>/map/", content=True),)

    def map(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show a sample of an index, coloured by a metadata field or by namespace."""
        index = self.row(request, object_id)
        picture = _picture(index)
        rows = self.rows(Embedding).filter(vector_index=index, row_id__in=picture.rows)
        fields = _fields(rows, picture)
        asked = ColourForm(request.GET, fields=fields)
        by = asked.cleaned_data["by"] if asked.is_valid() else [*fields, NAMESPACE][0]
        groups = self._groups(picture, rows, by)
        return self.page(
            request,
            "map.html",
            title="Map",
            heading=f"Map of {index.name}",
            tools=[Link("Index", self.url("vectorindex_change", index.pk))],
            row=index,
            form=ColourForm({"by": by}, fields=fields),
            groups=groups,
            points=[asdict(group) for group in groups],
            number=sum(len(group.points) for group in groups),
            percent=100 * picture.projection.variance,
        )

    def _groups(self, picture: Picture, rows: QuerySet[Embedding], by: str) -> list[Group]:
        """Return the points by the value of a field, the most frequent first, the rest as one."""
        value = F("namespace") if by == NAMESPACE else _TextOf("metadata", Value(by))
        found = rows.annotate(value=Left(value, LABEL), excerpt=Left("document", EXCERPT))
        places = dict(zip(picture.rows, picture.projection.points, strict=True))
        points: dict[str, list[list[Any]]] = defaultdict(list)
        for index_id, row_id, vector_id, label, excerpt in found.values_list(
            "vector_index_id", "row_id", "vector_id", "value", "excerpt"
        ):
            address = self.embedding_url(index_id, row_id)
            points[label or NOTHING].append([*places[row_id], address, excerpt or vector_id])
        ordered = sorted(points, key=lambda label: (-len(points[label]), label))
        groups = [Group(label=label, points=points[label]) for label in ordered[:COLOURS]]
        if rest := [point for label in ordered[COLOURS:] for point in points[label]]:
            groups.append(Group(label=OTHERS, points=rest))
        return groups


def _picture(index: VectorIndex) -> Picture:
    """Return the picture of an index, which is kept unless it is empty."""
    key = f"mastra_engine:map:{index.pk}:{index.created_at.timestamp()}"
    kept: Picture | None = cache.get(key)
    if kept is not None:
        return kept
    partition = Partition(connections[database()], index.to_definition())
    sample = sample_vectors(partition, most=min(POINTS, NUMBERS // index.dimension))
    if not sample:
        return Picture(rows=[], projection=Projection([], 0.0))
    rows, vectors = zip(*sample, strict=True)
    projection = project(vectors, unit=index.metric == "cosine")
    picture = Picture(rows=list(rows), projection=projection)
    cache.set(key, picture, KEPT)
    return picture


def _fields(rows: QuerySet[Embedding], picture: Picture) -> list[str]:
    """Return metadata fields that part the vectors into groups, those with the fewest first."""
    some = rows.filter(row_id__in=picture.rows[:_LOOKED_AT]).values_list("metadata", flat=True)
    values: dict[str, list[str]] = defaultdict(list)
    for metadata in some:
        for field, value in metadata.items():
            if not isinstance(value, dict | list | None):
                values[field].append(str(value))
    different = {field: len(set(found)) for field, found in values.items()}
    parting = [
        field
        for field, found in values.items()
        if different[field] < len(found) and (different[field] > 1 or len(found) < len(some))
    ]
    return sorted(parting, key=lambda field: (different[field], field))[:FIELDS]
